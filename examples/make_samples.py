"""Writes the samples: some hundred made-up rows in the form of each example's data, for the tests and for a first look.

python examples/make_samples.py
"""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EXAMPLES = Path(__file__).parent
CHARGES = [("POST", "POSTAGE"), ("M", "Manual"), ("C2", "CARRIAGE"), ("DOT", "DOTCOM"), ("BANK CHARGES", "Bank")]
START = np.datetime64("2017-01-01T09:00:00")


def main():
    """Writes all three."""
    groceries(EXAMPLES / "complete-journey" / "sample")
    gifts(EXAMPLES / "online-retail" / "sample")
    tweets(EXAMPLES / "movietweetings" / "sample")


def groceries(directory):
    """Households that buy a few products again and again."""
    rng = np.random.default_rng(0)
    households, products = 40, 80
    usual = [rng.choice(products, 8, replace=False) for _ in range(households)]
    rows = [
        (household, rng.choice(usual[household]) if rng.random() < 0.6 else rng.integers(products), minute)
        for household in range(households)
        for minute in np.sort(rng.integers(300_000, size=20))
    ]
    household, product, minute = (np.array(column) for column in zip(*rows, strict=True))
    departments = np.array(["GROCERY", "PRODUCE", "DRUG GM", None], object)
    directory.mkdir(exist_ok=True)
    write = {
        "transactions": {
            "household_id": household + 1,
            "product_id": 25_000 + product,
            "quantity": np.ones(len(rows), np.int64),
            "transaction_timestamp": (START + minute.astype("timedelta64[m]")).astype("datetime64[ns]"),
        },
        "products": {
            "product_id": 25_000 + np.arange(products),
            "manufacturer_id": 1 + np.arange(products) % 7,
            "department": departments[np.arange(products) % 4],
            "brand": np.array(["National", "Private"], object)[np.arange(products) % 2],
            "product_category": [f"CATEGORY {n % 10}" for n in range(products)],
            "product_type": [f"TYPE {n % 20}" for n in range(products)],
            "package_size": [f"{n % 3 + 1} OZ" for n in range(products)],
        },
        "demographics": {
            "household_id": 1 + np.arange(0, households, 2),
            "age": np.array(["25-34", "45-54", "65+"], object)[np.arange(households // 2) % 3],
            "income": ["35-49K"] * (households // 2),
            "household_size": [str(n % 4 + 1) for n in range(households // 2)],
            "kids_count": [str(n % 3) for n in range(households // 2)],
        },
    }
    for name, columns in write.items():
        pq.write_table(pa.table(columns), directory / f"{name}.parquet")


def gifts(directory):
    """Invoices, some without a customer, some that take goods back, and some with what is no gift."""
    rng = np.random.default_rng(1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
    writer.writerow(columns)
    for number in range(120):
        customer = "" if number % 5 == 4 else 12_000 + number % 30
        back = number % 20 == 7
        moment = str(START + np.timedelta64(int(number * 700 + rng.integers(600)), "m")).replace("T", " ")
        for item in rng.choice(60, 6, replace=False):
            invoice = f"{'C' if back else ''}{536_000 + number}"
            quantity = -1 if back else rng.integers(1, 12)
            name = f"SET OF {item + 2}, BLUE" if item % 9 == 0 else f"CANDLE NO {item}"
            writer.writerow([invoice, f"{85_000 + item}A", name, quantity, moment, 2.5, customer, "France"])
        if customer and not back and number % 2 == 0:
            code, name = CHARGES[number // 10 % len(CHARGES)]
            writer.writerow([536_000 + number, code, name, 1, moment, 15.0, customer, "France"])
    directory.mkdir(exist_ok=True)
    with gzip.GzipFile(directory / "online_retail.csv.gz", "wb", mtime=0) as file:
        file.write(text.getvalue().encode())


def tweets(directory):
    """Ratings of movies whose ids begin with zeros."""
    rng = np.random.default_rng(2)
    directory.mkdir(exist_ok=True)
    kinds = ["", "Drama|War"]
    movies = [f"{number:07d}::Film {number} ({1950 + number})::{kinds[number % 2]}" for number in range(60)]
    (directory / "movies.dat").write_text("\n".join(movies) + "\n", encoding="utf-8")
    ratings = [
        f"{user + 1}::{movie:07d}::{rng.integers(11)}::{1_362_000_000 + 1_000 * place + user}"
        for user in range(40)
        for place, movie in enumerate(rng.choice(60, 12, replace=False))
    ]
    (directory / "ratings.dat").write_text("\n".join(ratings) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

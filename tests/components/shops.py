"""Small shops, as people have their files: 30 customers, 12 products, 150 purchases."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from components.artifacts import read_summary
from pipeline.config import load_config
from pipeline.data import checks
from tests.components.deliveries import read_interactions

CUSTOMERS, PRODUCTS, ROWS = 30, 12, 150
COLUMNS = {"user_id": "customer", "item_id": "sku", "timestamp": "time", "rating": "stars"}
EVENTS = {"customer": [], "sku": [], "stars": [], "time": []}
_random = np.random.default_rng(7)
for row in range(ROWS):
    EVENTS["customer"].append(f"u{row % CUSTOMERS}")
    EVENTS["sku"].append(f"p{(row + row // CUSTOMERS) % PRODUCTS}")
    EVENTS["stars"].append(int(_random.integers(1, 6)))
    EVENTS["time"].append(1_600_000_000 + 86_400 * row)
PRODUCT = {
    "sku": [f"p{n}" for n in range(PRODUCTS)],
    "name": [f"Thing {n}" for n in range(PRODUCTS)],
    "category": [("Tools", "Garden", "Toys")[n % 3] for n in range(PRODUCTS)],
}
DAYS = [datetime.datetime.fromtimestamp(second, datetime.timezone.utc) for second in EVENTS["time"]]


def events(**columns: Any) -> dict[str, list]:
    """The purchases, with some columns changed."""
    return EVENTS | columns


def csv(table: dict[str, list], delimiter: str = ",", end: str = "\n", quoted: bool = False) -> str:
    """A table as CSV, whose header has the columns' names."""
    rows = [table, *zip(*table.values(), strict=True)]
    mark = '"' if quoted else ""
    return "".join(delimiter.join(f"{mark}{field}{mark}" for field in row) + end for row in rows)


def parquet(path: Path, table: dict[str, Any], **options: Any) -> None:
    """Writes a table, with its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pa.table(table), path, **options)


def shop(directory: Path, **sections: dict[str, Any]) -> Path:
    """Writes what is not there yet of a shop, and its configuration; `interactions` and `items` change their tables."""
    tables = {
        "interactions": {"file": "events.csv", "columns": COLUMNS},
        "items": {
            "file": "products.csv",
            "columns": {"item_id": "sku", "title": "name"},
            "features": {"category": {"kind": "tags"}},
        },
    }
    for name, table in (("events.csv", EVENTS), ("products.csv", PRODUCT)):
        if not (directory / name).exists():
            (directory / name).write_text(csv(table))
    data = {name: tables.get(name, {}) | sections.get(name, {}) for name in [*tables, *(sections.keys() - tables)]}
    path = directory / "shop.yaml"
    path.write_text(json.dumps({"data": data}))
    return path


def read(config_file: Path, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """The look before a run, and InteractionGen. Returns its summary."""
    config = load_config(str(config_file), overrides)
    checks.check(config)
    scratch = config_file.parent / "read"
    read_interactions(config, scratch)
    return read_summary(str(scratch / "summary"))


ALL = {"rows": ROWS, "accepted": ROWS, "merged": 0, "left_out": 0, "rejected": 0}


def columns(**changes):
    return {"columns": {name: column for name, column in (COLUMNS | changes).items() if column is not None}}


def write(name, content):
    """A file of the shop."""

    def make(directory):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def write_parquet(name, table, **options):
    return lambda directory: parquet(directory / name, table, **options)


def zstd(text):
    return pa.compress(text.encode(), codec="zstd", asbytes=True)


def halves(table):
    middle = ROWS // 2
    first = {name: values[:middle] for name, values in table.items()}
    return first, {name: values[middle:] for name, values in table.items()}


def events_in(file, **changes):
    return {"interactions": {"file": file, **columns(**changes)}}


def rows_of(table):
    """CSV without its header."""
    return csv(table).partition("\n")[2]


def at(form):
    """The times in a format."""
    return events(time=[day.strftime(form) for day in DAYS])


FIRST, SECOND = halves(EVENTS)
FLOATS = events(customer=[f"{n % CUSTOMERS}.0" for n in range(ROWS)], sku=[f"{n % PRODUCTS}.0" for n in range(ROWS)])
NUMBERED = PRODUCT | {"sku": [*range(PRODUCTS)]}
USERS = {"file": "users.csv", "columns": {"user_id": "id"}, "features": {"age": {"kind": "number"}}}
NUMBERED_USERS = csv({"id": [*range(CUSTOMERS)], "age": [*range(20, 20 + CUSTOMERS)]})
PARQUET = events_in("events.parquet")
TSV = {"items": {"file": "products.tsv"}}


def tsv(**titles):
    """The products with tabulators and no quoting, and titles of some."""
    names = [titles.get(sku, name) for sku, name in zip(PRODUCT["sku"], PRODUCT["name"], strict=True)]
    return csv(PRODUCT | {"name": names}, "\t")

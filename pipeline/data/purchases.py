"""Built-in purchases: visits of a shop's customers, who buy the same things again, and look before they buy.

A customer has a few categories, and staples that return; what is looked at depends on the device. Everything follows
from one seed.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from pipeline.data.settings import Generated

_CATEGORIES = ["Bakery", "Dairy", "Drinks", "Fruit", "Garden", "Household", "Pasta", "Snacks", "Spices", "Tea"]
_BRANDS = ["Acorn", "Birch", "Cedar", "Elm", "Fir"]
_DEVICES = ["phone", "desktop", "till"]
_CITIES = ["Basel", "Bern", "Geneva", "Zurich"]
_EVENTS = {"view": 0.55, "cart": 0.15, "purchase": 0.3}
_START, _DAYS, _DAY = 1_500_000_000, 365, 86_400
_VISIT_ROWS = 8
_AGAIN = 0.5  # Probability that a row repeats something that was bought.


def write_purchases(size: Generated, directory: Path, progress: Callable[[Sequence[int]], Iterable[int]]) -> None:
    """Writes `products.csv`, `customers.csv` and `events.csv`."""
    rng = np.random.default_rng(size.seed)
    category = rng.integers(len(_CATEGORIES), size=size.items)
    price = np.round(rng.lognormal(1.2, 0.7, size.items), 2)
    charm = 0.8 * rng.gumbel(size=size.items)
    favoured = rng.normal(0, 0.8, (len(_DEVICES), len(_CATEGORIES)))
    with _writer(directory / "products.csv", ["sku", "name", "category", "brand", "price"]) as write:
        for item in range(size.items):
            name = f"{rng.choice(_BRANDS)} {_CATEGORIES[category[item]].lower()} no. {item + 1}"
            write.row([f"p{item + 1}", name, _CATEGORIES[category[item]], name.partition(" ")[0], price[item]])
    with _writer(directory / "customers.csv", ["customer", "city"]) as write:
        for user in range(size.users):
            write.row([f"c{user + 1}", rng.choice(_CITIES)])
    weights = rng.lognormal(0, 0.8, size.users)
    counts = np.maximum(5, np.round(weights / weights.sum() * size.interactions)).astype(int)
    with _writer(directory / "events.csv", ["customer", "sku", "time", "event", "device"]) as write:
        for user, count in enumerate(progress(counts), 1):
            liking = 3 * rng.dirichlet(np.full(len(_CATEGORIES), 0.3))
            days = np.sort(rng.integers(_DAYS, size=count // _VISIT_ROWS + 1))
            bought: list[int] = []
            for visit, day in enumerate(days):
                clock = _START + int(day) * _DAY + int(rng.integers(_DAY // 2)) + visit
                device = int(rng.integers(len(_DEVICES)))
                logits = charm + (liking + favoured[device])[category]
                rows = min(_VISIT_ROWS, count - visit * _VISIT_ROWS)
                fresh = np.argsort(-(logits + rng.gumbel(size=size.items)))[:rows]
                for item in fresh:
                    again = bool(bought) and rng.random() < _AGAIN
                    item = bought[int(rng.integers(len(bought)))] if again else int(item)
                    event = "purchase" if again else str(rng.choice([*_EVENTS], p=[*_EVENTS.values()]))
                    if event == "purchase":
                        bought.append(item)
                    write.row([f"c{user}", f"p{item + 1}", clock, event, _DEVICES[device]])
                    clock += int(rng.exponential(60)) + 1


class _writer:
    """A CSV file with a header."""

    def __init__(self, path: Path, header: list[str]):
        self._path, self._header = path, header

    def __enter__(self) -> _writer:
        self._file = self._path.open("w", newline="", encoding="utf-8")
        self.row = csv.writer(self._file, lineterminator="\n").writerow
        self.row(self._header)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

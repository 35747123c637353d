"""A shop whose items, customers and context have features of every kind: events without ratings."""

import numpy as np
import yaml

BRANDS, CITIES, MATERIALS, DEVICES = (
    ["Acme", "Bolt", "Cord"],
    ["Bern", "Oslo"],
    ["wood", "steel", "glass"],
    ["phone", ""],
)
ADDED = {
    "items": {
        "brand": {"kind": "category", "filter": True},
        "price": {"kind": "number", "scale": "log"},
        "image": {"kind": "vector"},
        "materials": {"kind": "tags", "separator": ";", "column": "made of", "filter": True},
        "text": {"kind": "text", "column": "description", "min_count": 1},
    },
    "users": {"city": {"kind": "category"}, "since": {"kind": "number"}, "interests": {"kind": "tags"}},
    "context": {"device": {"kind": "category"}, "temperature": {"kind": "number"}},
}


def _write_shop(directory):
    """Views and purchases; customers of a city prefer a brand, and phones another one."""
    rng = np.random.default_rng(0)
    products = ["sku,name,brand,price,image,made of,description"]
    for sku in range(150):
        materials = ";".join(rng.choice(MATERIALS, 2, replace=False))
        image = " ".join(f"{value:.3f}" for value in rng.normal(size=4))
        words = f"a {rng.choice(MATERIALS)} thing"
        products.append(f"p{sku},Thing {sku},{BRANDS[sku % 3]},{1 + sku % 40},{image},{materials},{words}")
    customers = [f"c{n},{CITIES[n % 2]},{1990 + n % 30},wood|{MATERIALS[n % 3]}" for n in range(100)]
    events = ["customer,sku,time,kind,device,temperature"]
    for customer in range(100):
        liked = np.where(np.arange(150) % 3 == customer % 2, 4.0, 1.0)
        for number, sku in enumerate(rng.choice(150, 20, replace=False, p=liked / liked.sum())):
            kind, device = ("view", "buy", "ad")[number % 3], DEVICES[int(sku % 3 != 2)]
            temperature = "" if number % 4 == 0 else number
            events.append(
                f"c{customer},p{sku},{1_600_000_000 + 1000 * number + customer},{kind},{device},{temperature}"
            )
    (directory / "products.csv").write_text("\n".join(products) + "\n")
    (directory / "customers.csv").write_text("\n".join(["customer,city,since,interests", *customers]) + "\n")
    (directory / "events.csv").write_text("\n".join(events) + "\n")


def write_config(directory):
    """Data and configuration; returns the configuration's path."""
    _write_shop(directory)
    data = {
        "interactions": {
            "file": "events.csv",
            "columns": {"user_id": "customer", "item_id": "sku", "timestamp": "time", "event": "kind"},
            "events": {"view": 1, "buy": 3},
            "positive": ["buy"],
            "context": ADDED["context"],
        },
        "items": {"file": "products.csv", "columns": {"item_id": "sku", "title": "name"}, "features": ADDED["items"]},
        "users": {"file": "customers.csv", "columns": {"user_id": "customer"}, "features": ADDED["users"]},
    }
    path = directory / "shop.yaml"
    path.write_text(yaml.safe_dump({"data": data, "evaluation": {"min_slice_queries": 50}}))
    return path

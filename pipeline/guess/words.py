"""What people call their columns and kinds of events."""

from __future__ import annotations


def _all(text: str) -> frozenset[str]:
    return frozenset(text.split())


USER = _all(
    """user customer client member visitor account household reader listener buyer person uid reviewer shopper
    users customers clients members visitors accounts households readers listeners buyers"""
)
ITEM = _all(
    """item product sku movie film article song track artist stock isbn book game asin video news recipe offer listing
    content iid good merchandise items products movies films articles songs tracks artists books games videos"""
)
ID = _all("id key no nr number code num")
TIME = _all("time timestamp date datetime ts created at when day moment")
RATING = _all("rating stars star score grade rate")
EVENT = _all("event action type behavior behaviour kind interaction activity")
QUANTITY = _all("quantity qty units amount count number pieces")

# What a shop bills and does not sell, and what such titles say beside it.
_CHARGE = _all(
    """postage shipping delivery freight carriage fee fees charge charges surcharge discount voucher vouchers deposit
    insurance commission donation manual adjust adjustment rounding sample samples"""
)
_OF_CHARGES = _all("bank bad debt gift card cards dotcom amazon and handling standard express service next day order")

# Weights in training of kinds of events.
WEIGHTS = {
    5.0: _all("purchase buy order transaction sale checkout bought"),
    3.0: _all("cart addtocart basket add fav favorite favourite like wishlist save bookmark share"),
}


def is_charge(title: str) -> bool:
    """Whether a title says nothing but what a shop bills: "Bank Charges" does, "The Shipping News" does not."""
    said = frozenset(title.lower().split())
    return (bool(said & _CHARGE) and said <= _CHARGE | _OF_CHARGES) or {"gift", "card"} == said

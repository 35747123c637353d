"""A few users with what they saw and what they would get, for a person to look at."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.queries import Queries, raw_bytes
from models.catalogue import Catalogue
from models.features import names as f

_USERS = 10
_SHOWN_HISTORY = 5


def sample_users(model, examples: list[tf.train.Example], catalogue: Catalogue) -> list[dict[str, Any]]:
    """Ten users with the end of their history, their recommendations, and an eval item of theirs."""
    by_user = {raw_bytes(example, f.USER_ID)[0]: example for example in reversed(examples)}
    chosen = list(by_user.values())[::-1][:_USERS]
    if not chosen:
        return []
    titles = {item: title or item for item, title in zip(catalogue.ids, catalogue.titles, strict=True)}
    recommended = Queries.of(chosen).ask(model, "recommend")
    return [
        {
            "user_id": raw_bytes(example, f.USER_ID)[0].decode(),
            "history": [titles[item].decode() for item in raw_bytes(example, f.HISTORY_ITEM_ID)][:_SHOWN_HISTORY],
            "next_item_id": raw_bytes(example, f.ITEM_ID)[0].decode(),
            "next": titles[raw_bytes(example, f.ITEM_ID)[0]].decode(),
            "recommended": [
                {"item_id": item.decode(), "title": titles[item].decode(), "score": round(float(score), 3)}
                for item, score in zip(items, scores, strict=True)
                if item
            ],
        }
        for example, items, scores in zip(chosen, recommended["item_id"], recommended["score"], strict=True)
    ]

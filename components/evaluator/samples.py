"""A few users with what they had and what they would get, for a person to look at."""

from __future__ import annotations

from typing import Any

from components.evaluator.parity import Parity
from components.queries import ask
from models import inputs
from models.catalogue import Catalogue
from models.features import names as f

_USERS = 10
_SHOWN_HISTORY = 5


def sample_users(parity: Parity, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Ten users with the end of their history, their recommendations, and an eval item of theirs."""
    users = parity.batch[f.USER_ID].numpy().tolist()
    rows = [users.index(user) for user in dict.fromkeys(users)][:_USERS]
    if not rows:
        return []
    titles = {item: title or item for item, title in zip(catalogue.ids, catalogue.titles, strict=True)}
    recommended = ask(parity.model, "recommend", inputs.gathered(parity.inputs, rows))
    histories, items = (parity.batch[name].numpy() for name in (f.HISTORY_ITEM_ID, f.ITEM_ID))
    return [
        {
            "user_id": users[row].decode(),
            "history": [titles[item].decode() for item in histories[row] if item][:_SHOWN_HISTORY],
            "next_item_id": items[row].decode(),
            "next": titles[items[row]].decode(),
            "recommended": [
                {"item_id": item.decode(), "title": titles[item].decode(), "score": round(float(score), 3)}
                for item, score in zip(ids, scores, strict=True)
                if item
            ],
        }
        for row, ids, scores in zip(rows, recommended["item_id"], recommended["score"], strict=True)
    ]

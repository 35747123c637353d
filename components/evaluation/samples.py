"""A few users with what they saw and what they would get, for a person to look at."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.evaluation.queries import Queries, raw_bytes
from pipeline import features as f
from pipeline.catalogue import Catalogue

_USERS = 10
_SHOWN_HISTORY = 5


def sample_users(model, examples: list[tf.train.Example], catalogue: Catalogue) -> list[dict[str, Any]]:
    """Ten users with the end of their history, their recommendations, and a movie of theirs that was held out."""
    by_user = {raw_bytes(example, f.USER_ID.name)[0]: example for example in reversed(examples)}
    chosen = list(by_user.values())[::-1][:_USERS]
    if not chosen:
        return []
    titles = {movie: title or movie for movie, title in zip(catalogue.ids, catalogue.titles, strict=True)}
    recommended = Queries.of(chosen).ask(model, "recommend")
    return [
        {
            "user_id": raw_bytes(example, f.USER_ID.name)[0].decode(),
            "history": [titles[movie].decode() for movie in raw_bytes(example, f.HISTORY_MOVIE_ID.name)][
                :_SHOWN_HISTORY
            ],
            "next_movie_id": raw_bytes(example, f.MOVIE_ID.name)[0].decode(),
            "next": titles[raw_bytes(example, f.MOVIE_ID.name)[0]].decode(),
            "recommended": [
                {"movie_id": movie.decode(), "title": titles[movie].decode(), "score": round(float(score), 3)}
                for movie, score in zip(movies, scores, strict=True)
                if movie
            ],
        }
        for example, movies, scores in zip(chosen, recommended["movie_id"], recommended["score"], strict=True)
    ]

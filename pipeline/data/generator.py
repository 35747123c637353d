"""Built-in data: interactions shaped like MovieLens, drawn from a model whose structure can be learnt.

A user likes a few genres and drifts between them; movies have a quality and a skewed popularity; a user comes in
sessions, and one session stays around one genre. Titles name their main genre. Everything follows from one seed.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from pipeline.data.purchases import write_purchases
from pipeline.data.settings import Generated

_NOUNS = {
    "Action": ["Strike", "Chase", "Fury"],
    "Animation": ["Puppets", "Crayon", "Wonderland"],
    "Comedy": ["Mischief", "Wedding", "Blunder"],
    "Crime": ["Heist", "Detective", "Alibi"],
    "Documentary": ["Portrait", "Planet", "Archive"],
    "Drama": ["Sorrow", "Promise", "Winter"],
    "Fantasy": ["Dragon", "Spell", "Kingdom"],
    "Horror": ["Haunting", "Scream", "Crypt"],
    "Romance": ["Kiss", "Letters", "Summer"],
    "Sci-Fi": ["Orbit", "Android", "Nebula"],
    "War": ["Trench", "Battalion", "Armistice"],
    "Western": ["Saddle", "Sheriff", "Canyon"],
}
_ADJECTIVES = ["Last", "Silent", "Golden", "Broken", "Secret", "Lost", "Second", "Distant", "Crimson", "Paper"]
_START = 1_400_000_000  # Unix seconds of the first possible interaction.
_YEARS = 4
_SESSION_ROWS = 12


def write_generated(size: Generated, directory: str, progress: Callable[[Sequence[int]], Iterable[int]] = iter) -> None:
    """Writes `movies.csv` and `ratings.csv` in MovieLens's own layout, or purchases, unless the directory is there.

    The directory appears whole or not at all. `progress` is told of each user, as `rich.progress.track` is.
    """
    if os.path.isdir(directory):
        return
    os.makedirs(os.path.dirname(directory), exist_ok=True)
    scratch = f"{directory}.{uuid.uuid4().hex[:8]}"
    os.mkdir(scratch)
    try:
        if size.kind == "purchases":
            write_purchases(size, Path(scratch), progress)
        else:
            rng = np.random.default_rng(size.seed)
            genre_names = list(_NOUNS)
            genres, quality, popularity = _write_movies(size, rng, Path(scratch) / "movies.csv", genre_names)
            _write_ratings(size, rng, Path(scratch) / "ratings.csv", genres, quality, popularity, progress)
        with contextlib.suppress(OSError):  # Another run was faster.
            os.rename(scratch, directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_movies(size, rng, path, genre_names):
    main = rng.integers(len(genre_names), size=size.items)
    second = rng.integers(len(genre_names), size=size.items)
    genres = np.zeros((size.items, len(genre_names)))
    genres[np.arange(size.items), second] = 0.4
    genres[np.arange(size.items), main] = 1.0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["movieId", "title", "genres"])
        for movie in range(size.items):
            names = [genre_names[g] for g in dict.fromkeys((main[movie], second[movie]))]
            title = f"The {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS[names[0]])} ({rng.integers(1960, 2018)})"
            writer.writerow([movie + 1, title, "|".join(names)])
    return genres, rng.normal(0, 0.5, size.items), 0.7 * rng.gumbel(size=size.items)


def _write_ratings(size, rng, path, genres, quality, popularity, progress):
    share = rng.lognormal(0, 0.8, size.users)
    counts = np.maximum(5, np.round(share / share.sum() * size.interactions)).astype(int)
    counts = np.minimum(counts, size.items // 2)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["userId", "movieId", "rating", "timestamp"])
        for user, count in enumerate(progress(counts), 1):
            taste = rng.dirichlet(np.full(genres.shape[1], 0.25)) * 5
            liking, generosity = genres @ taste, rng.normal(0, 0.35)
            charm = popularity + 0.8 * liking + 0.3 * quality
            sessions = np.sort(rng.integers(_YEARS * 365, size=count // _SESSION_ROWS + 1)) * 86_400
            clock = 0
            for first in range(0, count, _SESSION_ROWS):
                clock = max(clock, _START + sessions[first // _SESSION_ROWS]) + int(rng.integers(3_600))
                mood = genres[:, rng.choice(len(taste), p=taste / taste.sum())]
                # The largest of logits plus Gumbel noise, in order, are draws from the softmax without replacement.
                keys = charm + 2.5 * mood + rng.gumbel(size=len(charm))
                for movie in _largest(keys, min(_SESSION_ROWS, count - first)):
                    charm[movie] = -np.inf
                    rating = 3.1 + generosity + 0.7 * quality[movie] + 0.35 * liking[movie] + rng.normal(0, 0.5)
                    writer.writerow([user, movie + 1, np.clip(np.round(rating * 2) / 2, 0.5, 5.0), clock])
                    clock += int(rng.exponential(40)) + 1


def _largest(values: np.ndarray, n: int) -> np.ndarray:
    """Positions of the n largest values, the largest first."""
    found = np.argpartition(values, -n)[-n:]
    return found[np.argsort(-values[found])]

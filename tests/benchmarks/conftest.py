"""Data sets whose right answer is known."""

import numpy as np

from benchmarks.quality.dataset import FROZEN, LIVE, Dataset, Rows, as_queries

DAY = 86_400


def rows(*interactions):
    """Of tuples of user, item and time, those of a user together."""
    columns = np.array(interactions, np.int64).reshape(-1, 3).T
    return Rows(*columns)


def dataset(train, held_out, items, split="per_user_chronological", repeats=False):
    """Of tuples as above; every held-out row is asked about."""
    train, held_out = rows(*train), rows(*held_out)
    histories = [FROZEN, LIVE] if split == "global_temporal" else [FROZEN]
    asked = as_queries(train, held_out, np.arange(len(held_out.user)), histories)
    users = max([*train.user, *held_out.user]) + 1
    return Dataset(users, items, train, asked, split, repeats)


def checkerboard(users=40, items=30, split="per_user_chronological"):
    """Even users like even items and odd ones odd items; each has seen most of theirs, and the rest is asked for."""
    rng = np.random.default_rng(0)
    train, held_out = [], []
    for user in range(users):
        own = rng.permutation(np.arange(user % 2, items, 2))
        train += [(user, item, time) for time, item in enumerate(own[:-3])]
        held_out += [(user, item, 1_000 + time) for time, item in enumerate(own[-3:])]
    return dataset(train, held_out, items, split)

"""The rules a shop has, from the configuration and what the data says of the items."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from components.recommender_builder.filters import Filters
from components.recommender_builder.item_values import ItemValues
from components.recommender_builder.leaves import partition
from components.recommender_builder.lists import ListRules
from components.recommender_builder.settings import Index, Never
from components.recommender_builder.vectors import CandidateVectors
from models.catalogue import Catalogue
from models.errors import UserError
from models.features import names as f

_SHOWN_VALUES = 3


class Rules(NamedTuple):
    """What holds of what is recommended.

    Attributes:
      hidden: [n + 1] which items are never recommended; the last row, an unknown one, is not hidden.
      filters: None where no feature filters.
      lists: None where no rule is on.
    """

    hidden: np.ndarray
    filters: Filters | None = None
    lists: ListRules | None = None

    @property
    def rows(self) -> np.ndarray:
        """The rows that may be recommended."""
        return np.flatnonzero(~self.hidden[:-1])

    def following(
        self,
        config: Index,
        filtered: Sequence[str],
        values: ItemValues,
        vectors: CandidateVectors,
        queries: np.ndarray,
    ) -> Rules:
        """With the filters and the rules of lists.

        Args:
          config: the section `index`.
          filtered: features that filter.
          values: of the features that the rules and filters look at.
          vectors: of the items.
          queries: [Q, D] that tune the search among filtered items.
        """
        rules = self
        if filtered:
            leaves = partition(config, vectors.retrieval.numpy()[self.rows], queries)
            of_features = {name: values[name] for name in filtered}
            rules = rules._replace(filters=Filters(of_features, vectors.retrieval, self.rows, leaves))
        if config.boost or config.most_per or config.diversity:
            rules = rules._replace(lists=ListRules(config, values, len(self.hidden) - 1, vectors.directions))
        return rules

    def described(self, catalogue: Catalogue, filtered: Sequence[str], values: ItemValues) -> dict[str, Any]:
        """What later steps ask about: ids that are never recommended, and of each filter the most frequent values."""
        return {
            "never": [item.decode() for item in catalogue.ids[self.hidden[:-1]].tolist()],
            "filters": {name: _most_frequent(values[name].flat_values.numpy()) for name in filtered},
        }


def hide(never: Never | None, values: ItemValues, catalogue: Catalogue) -> Rules:
    """Which items are never recommended.

    Raises:
      UserError: a value that no item has, or no item is left.
    """
    hidden = np.zeros(len(catalogue) + 1, bool)
    for name, wanted in (never.where if never else {}).items():
        for value in wanted:
            text = value.encode()
            if name == f.ITEM_ID:
                rows = catalogue.rows(np.array([text], object))
                rows = rows[rows < len(catalogue)]
            else:
                rows = values[name].value_rowids().numpy()[values[name].flat_values.numpy() == text]
            if not len(rows):
                raise UserError(f"index.never.where.{name}: no item has {value!r}; correct it, or take it out")
            hidden[rows] = True
    if hidden.any():
        logging.info("index.never leaves out %d of %d items", hidden.sum(), len(catalogue))
    if hidden[:-1].all():
        raise UserError(f"index.never leaves out all {len(catalogue)} items, so nothing could be recommended")
    return Rules(hidden)


def _most_frequent(values: np.ndarray) -> list[str]:
    known, counts = np.unique(values, return_counts=True)
    return [known[place].decode() for place in np.argsort(-counts, kind="stable")[:_SHOWN_VALUES]]

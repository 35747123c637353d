"""The features of a data set: those that the configuration declares, and those that every data set has."""

from __future__ import annotations

from models.features import names as n
from models.features.kinds import Declared, Feature, HistoryIds, HistoryTimes, Id, Rating, Timestamp
from models.settings import Settings


class FeatureSet(Settings):
    """What schema, Transform, towers, ranker, servable and slices are derived from.

    Attributes:
      items: features of items by name, the title among them.
      users: features of users by name.
      rated: whether interactions have ratings.
    """

    items: dict[str, Declared] = {}
    users: dict[str, Declared] = {}
    rated: bool = True

    def of_interactions(self) -> dict[str, Feature]:
        """The raw features of an interaction's example."""
        query = {
            n.USER_ID: Id(),
            n.TIMESTAMP: Timestamp(),
            n.HISTORY_ITEM_ID: HistoryIds(),
            n.HISTORY_TIMESTAMP: HistoryTimes(),
        }
        return query | self.users | self.of_items() | ({n.RATING: Rating()} if self.rated else {})

    def of_items(self) -> dict[str, Feature]:
        """The raw features of an item's example."""
        return {n.ITEM_ID: Id(), **self.items}

    def query_names(self) -> list[str]:
        """Model features of the query side, in a fixed order."""
        return [n.USER_ID, n.TIMESTAMP, n.HISTORY_ITEM_ID, n.HISTORY_GAP, *self.users]

    def candidate_names(self) -> list[str]:
        """Model features of the candidate side, in a fixed order."""
        return [n.ITEM_ID, *self.items]

    def sliced(self) -> dict[str, Feature]:
        """The features that evaluation is also cut by."""
        return {name: feature for name, feature in (self.items | self.users).items() if feature.kind != "text"}

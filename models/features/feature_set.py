"""The features of a data set: those that the configuration declares, and those that every data set has."""

from __future__ import annotations

from pydantic import Field

from models.features import names as n
from models.features.kinds import FILTERABLE, Declared, Event, Feature, ItemId, Overlap, Rating, Timestamp, UserId
from models.settings import Settings

_COUNTED = 5  # Times the length of a history: what an item was had before, where items repeat.


class Histories(Settings):
    """What a query knows of its user.

    Attributes:
      length: the most recent interactions that models embed, at most so many.
      both_sides: whether they may lie after the query, too, as where rows are held out at random.
      repeats: whether an item that is had again stays in the history of the later time.
    """

    length: int = Field(100, ge=1)
    both_sides: bool = False
    repeats: bool = False

    @property
    def known(self) -> int:
        """How many interactions a query knows: where items repeat, older ones only count."""
        return self.length * (_COUNTED if self.repeats else 1)


class FeatureSet(Settings):
    """What schema, Transform, towers, ranker, servable and slices are derived from.

    Attributes:
      items: features of items by name, the title among them.
      users: features of users by name.
      context: features of an interaction, which a request brings with it.
      rated: whether interactions have ratings.
      events: weights in training of the kinds of events; empty where all weigh the same, None where there are none.
      positive: what counts as wanted: ratings from here on, or these kinds of events; None: everything.
      histories: what a query knows of its user.
    """

    items: dict[str, Declared] = {}
    users: dict[str, Declared] = {}
    context: dict[str, Declared] = {}
    rated: bool = True
    events: dict[str, float] | None = None
    positive: float | list[str] | None = None
    histories: Histories = Histories()

    def of_timelines(self) -> dict[str, Feature]:
        """The raw features of a user's example."""
        return self.of_users() | {n.OVERLAP: Overlap()} | self.of_interactions()

    def of_users(self) -> dict[str, Feature]:
        """Those of them that the user has once."""
        return {n.USER_ID: UserId(), **self.users}

    def of_interactions(self) -> dict[str, Feature]:
        """Those of them that are parallel lists, one entry an interaction."""
        features: dict[str, Feature] = {n.ITEM_ID: ItemId(), n.TIMESTAMP: Timestamp()}
        if self.rated:
            features[n.RATING] = Rating()
        if self.events is not None:
            features[n.EVENT] = Event()
        return features | self.context

    def of_items(self) -> dict[str, Feature]:
        """The raw features of an item's example."""
        return {n.ITEM_ID: ItemId(), **self.items}

    def model_users(self) -> list[str]:
        """Model features that a user has once."""
        return [n.USER_ID, *self.users]

    def model_interactions(self) -> list[str]:
        """Model features that an interaction has, labels included."""
        labels = [name for name, there in self.labels().items() if there]
        return [n.ITEM_ID, n.TIMESTAMP, n.MOMENT, *self.context, *labels]

    def labels(self) -> dict[str, bool]:
        """What an interaction may teach beside the choice of its item, and whether this data has it."""
        return {n.RATING: self.rated, n.WEIGHT: bool(self.events), n.POSITIVE: self.positive is not None}

    def query_names(self) -> list[str]:
        """Model features of the query side, in a fixed order."""
        return [*self.model_users(), n.MOMENT, n.HISTORY_ITEM_ID, n.HISTORY_GAP, *self.context]

    def candidate_names(self) -> list[str]:
        """Model features of the candidate side, in a fixed order."""
        return [n.ITEM_ID, *self.items]

    def filters(self) -> list[str]:
        """Features of items of which a request may say which values it wants, in a fixed order."""
        return [name for name, feature in self.items.items() if isinstance(feature, FILTERABLE) and feature.filter]

    def sliced(self) -> dict[str, Feature]:
        """The features that evaluation is also cut by."""
        every = self.items | self.users | self.context
        return {name: feature for name, feature in every.items() if feature.kind not in ("text", "vector")}

"""How the servable searches, and the rules of its lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from models.features import names as f
from models.features.feature_set import FeatureSet
from models.settings import Probability, Settings

TEXT_KINDS = ("category", "tags")


class Never(Settings):
    """Items that count in histories and are never recommended, as postage or gift cards."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    # By `item_id`, or a feature of items of kind category or tags: an item that has one of any of these values.
    where: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(min_length=1)


class Index(Settings):
    """The candidate search inside the servable, and what is recommended of the candidates."""

    kind: Literal["scann", "exact"] = "scann"
    candidates: int = Field(100, ge=1)  # N: what retrieval hands to ranking.
    recommendations: int = Field(10, ge=1)  # K: what a request gets.
    recall: float = Field(0.98, gt=0, le=1)  # Of the true N; the search is the fastest that reaches it.
    never: Never | None = None
    boost: dict[str, float] = {}  # Number feature of items -> what each unit of it adds to a score.
    # Category or tags of items -> how many items of a list may share a value.
    most_per: dict[str, Annotated[int, Field(ge=1)]] = {}
    diversity: Probability = 0.0  # MMR's weight of being unlike the entries before; 0: off.

    @model_validator(mode="after")
    def _recommended_of_candidates(self) -> Index:
        if self.recommendations > self.candidates:
            raise ValueError(
                f".recommendations: {self.recommendations} are more than the {self.candidates} of index.candidates, of "
                "which they are the best"
            )
        return self

    def without_rules(self) -> Index:
        """The search alone."""
        return self.model_copy(update={"never": None, "boost": {}, "most_per": {}, "diversity": 0.0})

    def check(self, features: FeatureSet) -> None:
        """Raises ValueError, with the key, where a rule names a feature that the items do not have."""
        texts = _of_kinds(features, TEXT_KINDS)
        _check("never.where", self.never.where if self.never else {}, [f.ITEM_ID, *texts], "category or tags")
        _check("boost", self.boost, _of_kinds(features, ["number"]), "number")
        _check("most_per", self.most_per, texts, "category or tags")

    def raw_features(self, features: FeatureSet) -> list[str]:
        """Names of the item features whose values the rules and filters look at."""
        never = self.never.where if self.never else {}
        named = [*never, *self.boost, *self.most_per, *features.filters()]
        return [name for name in features.items if name in named]


def _of_kinds(features: FeatureSet, kinds: Collection[str]) -> list[str]:
    return [name for name, feature in features.items.items() if feature.kind in kinds]


def _check(key: str, named: Mapping[str, Any], known: Collection[str], kinds: str) -> None:
    for name in named:
        if name not in known:
            has = f"has {', '.join(known)}" if known else "has none"
            raise ValueError(f"index.{key}: {name!r} is no feature of items of kind {kinds}; the data {has}")

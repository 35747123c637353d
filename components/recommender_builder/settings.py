"""How the servable searches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from models.settings import Settings


class Index(Settings):
    """The candidate search inside the servable."""

    kind: Literal["scann", "exact"] = "scann"
    candidates: int = Field(100, ge=1)  # N: what retrieval hands to ranking.
    recommendations: int = Field(10, ge=1)  # K: what a request gets.
    recall: float = Field(0.98, gt=0, le=1)  # Of the true N; the search is the fastest that reaches it.

    @model_validator(mode="after")
    def _recommended_of_candidates(self) -> Index:
        if self.recommendations > self.candidates:
            raise ValueError(
                f".recommendations: {self.recommendations} are more than the {self.candidates} of index.candidates, of "
                "which they are the best"
            )
        return self

"""How interactions become train and eval examples."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.settings import Settings


class Split(Settings):
    """How interactions are divided into train and eval."""

    kind: Literal["per_user_chronological", "random", "global_temporal"] = "per_user_chronological"
    eval_share: float = Field(0.2, gt=0, lt=1)
    seed: int = 42
    history_length: int = Field(100, ge=1, le=1000)  # The most recent interactions that a query knows.

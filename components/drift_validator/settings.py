"""How far a delivery may be from the one that the live model was trained on."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from models.settings import Settings


class Limit(Settings):
    """From where on a distance is said, and from where on it stops the run. None: never."""

    warn: float | None = Field(None, ge=0)
    stop: float | None = Field(None, ge=0)


# By kind of distance, or by `kind.name` for a single one, as in `missing.category`; also nested, as `--set` does it.
# Kinds and names: `distances.py`.
DEFAULT_LIMITS: dict[str, dict[str, float]] = {
    "fewer": {"warn": 1.2, "stop": 1.6},
    "more": {"warn": 2.0, "stop": 5.0},
    "busiest": {"warn": 2.0, "stop": 4.0},
    "new": {"warn": 0.3},
    "gone": {"warn": 0.3},
    "repeated": {"warn": 0.01, "stop": 0.02},
    "shapes": {"warn": 0.05, "stop": 0.2},
    "hours": {"warn": 0.01, "stop": 0.03},
    "missing": {"warn": 0.05, "stop": 0.2},
    "texts": {"warn": 0.05, "stop": 0.2},
    "numbers": {"warn": 0.02, "stop": 0.04},
}


class Drift(Settings):
    """Limits by name. Those of `DEFAULT_LIMITS` are there from the start; null takes one out."""

    limits: dict[str, Limit | None] = Field({}, validate_default=True)
    stops: bool = True  # False: what would stop a run is said only, as for a change that is meant.

    @field_validator("limits", mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        flat: dict[str, Any] = {}
        for name, limit in given.items():
            nested = isinstance(limit, dict) and not limit.keys() <= Limit.model_fields.keys()
            flat |= {f"{name}.{of}": one for of, one in limit.items()} if nested else {str(name): limit}
        for name in flat:
            if name.partition(".")[0] not in DEFAULT_LIMITS:
                raise ValueError(f"{name!r} is none of {', '.join(DEFAULT_LIMITS)}, nor one of them with .NAME")
        return DEFAULT_LIMITS | flat

    def limit(self, kind: str, name: str) -> Limit:
        """Of one distance."""
        limits = self.limits
        found = limits[f"{kind}.{name}"] if f"{kind}.{name}" in limits else limits.get(kind)
        return found or Limit()

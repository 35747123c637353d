"""How the server on a candidate is asked before the push."""

from __future__ import annotations

from pydantic import Field

from models.settings import Settings


class InfraValidation(Settings):
    """The server, the questions, and how fast the answers have to be."""

    # A container image, run with podman or docker, as google/tf-serving-scann; None: `recommender serve`.
    image: str | None = None
    users: int = Field(50, ge=1)  # Users of the eval split that are asked about.
    batch: int = Field(1000, ge=1)  # Queries in the large request.
    max_milliseconds: float = Field(500.0, gt=0)  # Median answer to one query.
    ready_seconds: float = Field(600.0, gt=0)  # Until the server has loaded the model, at most.

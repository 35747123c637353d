"""Settings of features and models: every value that a person may want to change, with its default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

TOP_KS = (1, 5, 10, 50, 100)  # Lengths of lists whose accuracy is reported.

Probability = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """A section of the configuration: unknown keys are errors, and defaults are checked too."""

    model_config = ConfigDict(extra="forbid", validate_default=True, allow_inf_nan=False)


class Transform(Settings):
    """Parameters of the features."""

    timestamp_buckets: int = Field(1000, ge=2)


class Training(Settings):
    """What both models are trained with."""

    # tf.distribute's: all GPUs of this machine, or those of all machines in TF_CONFIG.
    strategy: Literal["one_device", "mirrored", "multi_worker"] = "one_device"
    epochs: int = Field(6, ge=0)
    most_rows: int = Field(2_000_000, ge=1)  # Of all epochs together; more data has fewer epochs, but one at the least.
    batch_size: int = Field(512, ge=2)  # Of all replicas together; little data has smaller batches.
    learning_rate: float = Field(3e-3, gt=0)
    # Where training goes on from the live model: what share of the rows that it knows come again, and the rate.
    warm_share: float = Field(1.0, ge=0, le=1)
    warm_learning_rate: float = Field(1e-3, gt=0)
    refit_learning_rate: float = Field(1e-3, gt=0)  # Of the pass over the eval rows, where a blessed model is refitted.
    weight_decay: float = Field(1.0, ge=0)  # A step multiplies weights by 1 - weight_decay * learning rate.
    history_decay_seconds: list[Annotated[float, Field(gt=0)]] = [60.0, 600.0, 86_400.0]
    seed: int = 42

    @model_validator(mode="after")
    def _weights_remain(self) -> Training:
        if self.learning_rate * self.weight_decay >= 1:
            raise ValueError(
                "learning_rate times weight_decay has to be below 1: otherwise one step erases the weights"
            )
        return self


class Retrieval(Training):
    """The two-tower model."""

    embedding_dim: int = Field(96, ge=1)
    query_layers: list[int] = []  # Hidden layers between the summed query embeddings and the tower's output.
    candidate_layers: list[int] = []
    moment_buckets: list[Annotated[int, Field(ge=1)]] = Field([1, 8, 64], min_length=1)  # Time buckets that are merged.
    moment_dropout: Probability = 0.2  # That a row hides its moment, so that what comes after the data works.
    user_dropout: Probability = 0.5  # That a row hides the user id, so that unknown users work.
    history_cut: Probability = 0.5  # Where items repeat, that a row forgets up to 30 % of its history, the latest.
    query_dropout: Probability = 0.1  # That a row hides both user id and history.
    item_dropout: Probability = 0.1  # That a row hides the item id, so that new items work.
    uniform_negatives: int = Field(256, ge=0)  # Catalogue samples added to the in-batch negatives.
    temperature: float = Field(1.0, gt=0)
    # Of training's products of queries and candidates: half the width is for GPUs that are made for it.
    precision: Literal["float32", "bfloat16"] = "float32"
    hard_negatives: int | None = Field(None, ge=1)
    remove_accidental_hits: bool = True
    sampling_bias_correction: bool = True


class Ranking(Training):
    """The model that orders the candidates and predicts ratings."""

    epochs: int = Field(5, ge=0)
    warm_share: float = Field(0.2, ge=0, le=1)  # With more it learns by heart what it knows, night after night.
    weight_decay: float = Field(1.5, ge=0)
    embedding_dim: int = Field(64, ge=1)
    layers: list[Annotated[int, Field(ge=1)]] = Field([64, 32], min_length=1)
    dropout: Probability = 0.2  # Of the layers' inputs, and of an entry of the history.
    user_dropout: Probability = 0.05  # As in retrieval.
    item_dropout: Probability = 0.05
    rating_loss_weight: float = Field(1.0, ge=0)
    preference_loss_weight: float = Field(0.5, ge=0)
    choice_loss_weight: float = Field(1.5, ge=0)
    negatives: int = Field(4, ge=1)  # Other rows' items that choice is learnt against.

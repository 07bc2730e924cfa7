"""What `finetune` in params.yaml says."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from cell_synergy.core.config import Config
from cell_synergy.data.config import Names


class LoRAConfig(Config):
    """Low-rank changes of every linear layer.

    Attributes
    ----------
    rank, alpha
        Width of a change, and `rank` times its factor.
    dropout
        Share of a change's inputs that are left out in training.
    lr
        AdamW's largest step size: it rises in the first round and falls along a cosine.
    """

    rank: PositiveInt
    alpha: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]
    lr: PositiveFloat


class LastLayersConfig(Config):
    """The last layers themselves: how many, and AdamW's largest step size."""

    layers: PositiveInt
    lr: PositiveFloat


class FinetuneConfig(Config):
    """How an expert is tuned.

    Attributes
    ----------
    how
        `linear`: the head alone; `lora`: adapters beside every linear layer; `last`: the last
        layers themselves.
    lora, last
        What only one of them needs.
    rounds, steps
        How often the rows left out are looked at, and most steps of AdamW before each look; where
        the training rows are fewer, a look follows each pass over them.
    held
        Rows that choose the round, at least: so many inner folds are left out, each by one fit.
    batch_size
        Units per step.
    weight_decay
        AdamW's, of what learns in the expert; the head has the linear probe's penalty.
    cells
        Cells per unit that a step shows, at most; all of them predict.
    precision
        Of the network's arithmetic.
    tasks
        Which tasks of the data set; `all` of them.
    seed, seeds
        `seeds` seeds, counted up from `seed`.
    """

    how: Literal["linear", "lora", "last"]
    lora: LoRAConfig
    last: LastLayersConfig
    rounds: PositiveInt
    steps: PositiveInt
    held: PositiveInt
    batch_size: PositiveInt
    weight_decay: NonNegativeFloat
    cells: PositiveInt
    precision: Literal["float32", "bfloat16"]
    tasks: Names
    seed: NonNegativeInt
    seeds: PositiveInt

    @property
    def part(self) -> LoRAConfig | LastLayersConfig | None:
        """What learns in the expert; None if it stays as it is."""
        return {"linear": None, "lora": self.lora, "last": self.last}[self.how]

    @property
    def lr(self) -> float:
        """AdamW's largest step size."""
        return self.part.lr if self.part else 0.0

"""The section `finetune` of params.yaml."""

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from cell_synergy.core.config import Config
from cell_synergy.data.naming import Names

ALL_TASKS = "all"


def _all_tasks(tasks: object) -> object:
    """Return a list with the word `all` for that word; other values are returned as they are."""
    return [tasks] if tasks == ALL_TASKS else tasks


class LoRAConfig(Config):
    """Low-rank updates of the weights of every linear layer.

    Attributes
    ----------
    rank, alpha
        Rank of an update; the update is scaled by `alpha / rank`.
    dropout
        Dropout probability of the inputs of an update in training.
    lr
        Peak learning rate of AdamW: it rises linearly in the first round and falls along a cosine.
    """

    rank: PositiveInt
    alpha: PositiveInt
    dropout: Annotated[float, Field(ge=0, lt=1)]
    lr: PositiveFloat


class LastLayersConfig(Config):
    """Training of the last layers of an expert.

    Attributes
    ----------
    layers
        Number of layers that are trained.
    lr
        Peak learning rate of AdamW.
    """

    layers: PositiveInt
    lr: PositiveFloat


class FinetuneConfig(Config):
    """Configuration of fine-tuning.

    Attributes
    ----------
    how
        What is trained: `linear`, the head alone; `lora`, adapters of every linear layer; `last`,
        the last layers.
    lora, last
        Settings of the choices `lora` and `last`.
    rounds, steps
        Number of rounds, after each of which the fits are validated, and maximal number of AdamW
        steps per round; if a pass over the training rows takes fewer steps, a round is one pass.
    held
        Minimal number of validation rows. They are the smallest inner folds that have this many
        rows together; each is left out of a separate fit and validates that fit.
    batch_size
        Observations per step.
    weight_decay
        Weight decay of AdamW for the parameters of the expert; the head has the penalty of the
        linear probe instead.
    cells
        Maximal number of cells per observation in a training step; predictions use all cells.
    precision
        Floating-point precision of the network's computations.
    tasks
        List of tasks of the data set, or `all`.
    seed, seeds
        First seed, and number of consecutive seeds; with `linear` there is one.
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
    tasks: Annotated[Names, BeforeValidator(_all_tasks)]
    seed: NonNegativeInt
    seeds: PositiveInt

    @property
    def part(self) -> LoRAConfig | LastLayersConfig | None:
        """Settings of the trained parameters of the expert; None if the expert stays frozen."""
        return {"linear": None, "lora": self.lora, "last": self.last}[self.how]

    @property
    def lr(self) -> float:
        """Peak learning rate of AdamW; 0 if the expert stays frozen."""
        return self.part.lr if self.part else 0.0

"""Trifeature on embeddings: what a method keeps of redundancy, uniqueness and synergy.

Dufumier et al. 2025, "What to align in multimodal contrastive learning?" (ICLR), the bimodal
Trifeature experiments, after Hermann & Lampinen 2020; authors' code Duplums/CoMM at 02725fa. An
item has a shape, a colour and a texture, ten values each; a pair is an item seen by the image
expert and another item of the same shape seen by the expression expert. Linear probes of a method's
`z3` decode the shape (redundant), the texture of each side (unique to it), and whether the texture
of the image and the colour of the expression match under a fixed permutation (synergy: neither side
alone tells).

As in the paper a method learns twice, from pairs of any texture and colour, and from pairs that all
match; the latter is probed for synergy, on pairs of which half match.

Departures: embeddings, not pixels (each is the sum of its values' fixed Gaussian codes, and noise,
so that the encoder is out of the question); balanced probe pairs; one random stream per purpose.
The authors draw matching and pairs from one stream, after what it also rendered the images with: a
first run has other pairs than a second.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Float64, Int
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from cell_synergy.core.atomic import atomic
from cell_synergy.core.compute import use_threads
from cell_synergy.core.config import Config, load, merge, named, section, value
from cell_synergy.core.errors import ConfigError
from cell_synergy.core.streams import stream
from cell_synergy.data.units.embeddings import standardise
from cell_synergy.downstream.judging import Chosen, Probe
from cell_synergy.downstream.metrics import classification
from cell_synergy.downstream.probes import Design
from cell_synergy.models import Job, Method, Pairs, Run
from cell_synergy.models import load as load_method

SHAPE, COLOUR, TEXTURE = range(3)
VALUES = 10
DRAWS = 3  # items of each triplet (shape, colour, texture)
TEST_TRIPLETS = 200
TEST = -1
TASKS = {
    "any": ("redundancy", "unique_image", "unique_expression"),
    "matching": ("synergy",),
}  # of the method that learnt from such pairs


class Trifeature(Config):
    """The benchmark's settings.

    Attributes
    ----------
    seed, seeds
        `seeds` seeds, counted up from `seed`; each draws everything anew.
    image_width, expression_width
        Features of the embeddings.
    noise
        Standard deviation of the noise on each feature; the codes of an item have 1 together.
    pairs
        Pairs that a method learns from.
    probe_pairs
        Pairs that a probe learns from, and as many that it is scored on.
    max_epochs
        Passes over the training pairs.
    methods
        Hyperparameters of some methods, over those of the twins' small tissue.
    """

    seed: NonNegativeInt
    seeds: PositiveInt
    image_width: PositiveInt
    expression_width: PositiveInt
    noise: NonNegativeFloat
    pairs: PositiveInt
    probe_pairs: PositiveInt
    max_epochs: PositiveInt
    methods: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class World:
    """All items as both experts see them; every draw has its own stream.

    Attributes
    ----------
    seed
        Of all streams.
    triplets
        Shape, colour and texture of each item.
    part
        Inner fold of each training item, `TEST` of a test item; a triplet is in one part.
    matching
        The colour that matches each texture.
    image, expression
        Embeddings, standardised by the training items.
    """

    seed: int
    triplets: Int[np.ndarray, "items 3"]
    part: Int[np.ndarray, " items"]
    matching: Int[np.ndarray, "10"]
    image: Float32[np.ndarray, "items d1"]
    expression: Float32[np.ndarray, "items d2"]

    @classmethod
    def make(cls, settings: Trifeature, folds: int, seed: int) -> "World":
        """Draw the split of triplets (training ones into `folds`), the matching, the embeddings."""
        every = np.indices((VALUES,) * 3).reshape(3, -1).T
        shuffled = _stream(seed, "split").permutation(len(every))
        part = np.full(len(every), TEST)
        part[shuffled[TEST_TRIPLETS:]] = np.arange(len(every) - TEST_TRIPLETS) % folds
        triplets, part = np.repeat(every, DRAWS, axis=0), np.repeat(part, DRAWS)
        widths = {"image": settings.image_width, "expression": settings.expression_width}
        embeddings = []
        for side, width in widths.items():
            codes = _stream(seed, "codes", side).standard_normal((3, VALUES, width)) / np.sqrt(3)
            noise = _stream(seed, "noise", side).standard_normal((len(triplets), width))
            x = codes[np.arange(3), triplets].sum(axis=1) + settings.noise * noise
            embeddings.append(_standardised(x.astype(np.float32), part != TEST))
        matching = _stream(seed, "matching").permutation(VALUES)
        return cls(seed, triplets, part, matching, *embeddings)

    def draw(
        self, within: Bool[np.ndarray, " items"], match: bool | None, count: int, *purpose: str
    ) -> Int[np.ndarray, "count 2"]:
        """Draw different pairs of items of one shape, as (image item, expression item).

        Parameters
        ----------
        within
            Items to choose from.
        match
            Whether the colour of the expression item matches the texture of the image item; None
            for any colour.
        purpose
            Name of the stream.

        Raises
        ------
        ConfigError
            If there are fewer such pairs.
        """
        items = np.flatnonzero(within)
        first, second = self.triplets[items][:, None], self.triplets[items][None]
        allowed = first[..., SHAPE] == second[..., SHAPE]
        if match is not None:
            allowed &= (self.matching[first[..., TEXTURE]] == second[..., COLOUR]) == match
        pairs = np.argwhere(allowed)
        if count > len(pairs):
            raise ConfigError(
                f"trifeature: {count} pairs for {' '.join(purpose)} are more than the {len(pairs)} "
                "that there are; set trifeature.pairs or trifeature.probe_pairs lower"
            )
        draws = _stream(self.seed, "pairs", *purpose)
        return items[pairs[draws.choice(len(pairs), count, replace=False)]]

    def training_pairs(self, kind: str, count: int) -> Pairs:
        """Draw `count` pairs to learn from: `any`, or `matching`."""
        match = True if kind == "matching" else None
        return self.pairs(self.draw(self.part != TEST, match, count, "training", kind))

    def probe_pairs(self, kind: str, count: int) -> Int[np.ndarray, "units 2"]:
        """Draw `count` pairs for a probe to learn from and `count` to score it, rounded down.

        Both items of a pair are of one part of the split, so that inner folds share no triplet.
        For the method that learnt from `matching` pairs, half of each part match.
        """
        rules = (True, False) if kind == "matching" else (None,)
        drawn = []
        for part in range(TEST, folds := int(self.part.max()) + 1):
            size = count // len(rules) // (1 if part == TEST else folds)
            for rule in rules:
                purpose = ("probe", kind, str(part), str(rule))
                drawn.append(self.draw(self.part == part, rule, size, *purpose))
        return np.concatenate(drawn)

    def pairs(self, items: Int[np.ndarray, "units 2"]) -> Pairs:
        """Return pairs of items as methods take them."""
        donor = np.full(len(items), "trifeature")
        return Pairs(self.image[items[:, 0]], self.expression[items[:, 1]], donor)

    def label(self, task: str, items: Int[np.ndarray, "units 2"]) -> Int[np.ndarray, " units"]:
        """Return what a probe has to tell of each pair."""
        first, second = self.triplets[items[:, 0]], self.triplets[items[:, 1]]
        found: Int[np.ndarray, " units"] = {
            "redundancy": first[:, SHAPE],
            "unique_image": first[:, TEXTURE],
            "unique_expression": second[:, TEXTURE],
            "synergy": (self.matching[first[:, TEXTURE]] == second[:, COLOUR]).astype(np.int64),
        }[task]
        return found


def score(
    name: str,
    method: Method,
    settings: Trifeature,
    training: Mapping[str, object],
    probe: Probe,
) -> pd.DataFrame:
    """Fit and probe a method with each seed.

    Returns
    -------
    One row per seed and task: balanced accuracy `value` on `n` test pairs of `classes` classes (of
    which chance gets one), and the probe's penalty `strength`, chosen on inner folds of the
    training triplets by the log-likelihood `inner`.
    """
    rows: list[dict[str, object]] = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        world = World.make(settings, probe.inner_folds, seed)
        for kind, items, z in represent(name, method, settings, training, world):
            part = world.part[items[:, 0]]
            design = Design.of(z[part != TEST])
            for task in TASKS[kind]:
                found = _probed(z, design, world.label(task, items), part, probe)
                rows.append({"method": name, "task": task, "probe": "linear", "seed": seed} | found)
    return pd.DataFrame(rows)


def represent(
    name: str,
    method: Method,
    settings: Trifeature,
    training: Mapping[str, object],
    world: World,
) -> Iterator[tuple[str, Int[np.ndarray, "units 2"], Float32[np.ndarray, "units d"]]]:
    """Yield, for each kind of training pairs, the probe's pairs and their standardised `z3`."""
    jobs = [
        Job(f"{kind}-{world.seed}", pairs, _none_of(pairs), world.seed)
        for kind in TASKS
        for pairs in [world.training_pairs(kind, settings.pairs)]
    ]
    with TemporaryDirectory() as folder:
        run = Run(training, lambda *_: None, Path(folder, "checkpoint.pt"), f"trifeature {name}")
        learnt = method.fit(jobs, run)
    for kind, weights in zip(TASKS, learnt, strict=True):
        items = world.probe_pairs(kind, settings.probe_pairs)
        pairs = world.pairs(items)
        z = method.transform(weights, pairs.image, pairs.expression)
        yield kind, items, _standardised(z, world.part[items[:, 0]] != TEST)


def _probed(
    z: Float32[np.ndarray, "units d"],
    design: Design,
    y: Int[np.ndarray, " units"],
    part: Int[np.ndarray, " units"],
    probe: Probe,
) -> dict[str, object]:
    """Return the score of a linear probe, and how it was reached."""
    grid, classes = probe.grid(), int(y.max()) + 1
    stop = probe.tolerance, probe.iterations
    training, inner = part != TEST, np.zeros(len(grid))
    for fold in range(probe.inner_folds):
        own, rows = part[training] != fold, part == fold
        fits = design.part(own).logistic(y[training][own], classes, grid, *stop)
        inner += [_log_likelihood(fit.probabilities(z[rows]), y[rows]) for fit in fits]
    chosen = Chosen.best(grid, inner / training.sum())
    (linear,) = design.logistic(y[training], classes, [chosen.strength], *stop)
    prior = np.bincount(y[training]) / training.sum()
    scores = classification(y[~training], linear.probabilities(z[~training]), prior)
    return {
        "metric": "balanced_accuracy",
        "value": scores["balanced_accuracy"],
        "n": int((~training).sum()),
        "classes": classes,
        "inner": chosen.inner,
        "strength": chosen.strength,
        "gradient_norm": linear.gradient_norm,
        "iterations": linear.iterations,
    }


def run(words: dict[str, Any]) -> Path:
    """Score the method `models.name` as params.yaml says; write the table to `out`."""
    name, _ = named(words.get("models", {}), "name", "models")
    settings = load(Trifeature, "trifeature")
    block = merge(section(f"models.{name}"), settings.methods.get(name, {}))
    training = merge(section("training"), {"max_epochs": settings.max_epochs})
    use_threads(value("threads"))
    table = score(name, load_method(name, block), settings, training, load(Probe, "probe"))
    with atomic(out := Path(words["out"])) as new:
        table.to_csv(new, index=False, float_format="%.6g")
    return out


def _stream(seed: int, *purpose: str) -> np.random.Generator:
    return stream(seed, "trifeature", *purpose)


def _standardised(
    x: Float32[np.ndarray, "rows d"], fit: Bool[np.ndarray, " rows"]
) -> Float32[np.ndarray, "rows d"]:
    return standardise(x, fit, np.zeros(len(x)), "train")


def _none_of(pairs: Pairs) -> Pairs:
    """Return no pairs: nobody looks at this benchmark's validation curve."""
    return Pairs(pairs.image[:0], pairs.expression[:0], pairs.donor[:0])


def _log_likelihood(
    probabilities: Float64[np.ndarray, "units classes"], y: Int[np.ndarray, " units"]
) -> float:
    own = probabilities[np.arange(len(y)), y]
    return float(np.log(np.maximum(own, np.finfo(np.float64).tiny)).sum())

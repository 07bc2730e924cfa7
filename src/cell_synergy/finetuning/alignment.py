"""Fit one method on every fold and seed of one data set."""

import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from cell_synergy import models
from cell_synergy.atomic import atomic
from cell_synergy.compute import device, scratch, use_threads
from cell_synergy.config import Config, merge, named, section, validate, value
from cell_synergy.data.dataset import Dataset
from cell_synergy.data.tissue import Tissue
from cell_synergy.finetuning import weights
from cell_synergy.models import Method, Pairs, Run

if TYPE_CHECKING:
    from dvclive.live import Live


class Align(Config):
    """`seeds` seeds, counted up from `seed`."""

    seed: NonNegativeInt
    seeds: PositiveInt


class Paths(Config):
    """What the stage reads and writes."""

    pairs: Path
    image: Path
    expression: Path
    out: Path


def run(words: dict[str, Any]) -> Path:
    """Align as the nested words `models`, `data`, `training`, `align` and the paths say."""
    name, over_method = named(words.pop("models", {}), "name", "models")
    dataset_name, over_data = named(words.pop("data", {}), "dataset", "data")
    block = merge(section(f"models.{name}"), over_method)
    method = models.load(name, block)
    data = section(f"data.{dataset_name}")
    dataset = validate(Dataset, merge(data, over_data), f"data.{dataset_name}")
    training = merge(section("training"), words.pop("training", {}))
    settings = validate(Align, merge(section("align"), words.pop("align", {})), "align")
    paths = validate(Paths, words, "argument")
    use_threads(value("threads"))
    tissue = Tissue.read(paths.pairs, paths.image, paths.expression, dataset)
    align(f"{dataset_name} {name}", method, tissue, training, settings, paths.out)
    return paths.out


def align(
    name: str,
    method: Method,
    tissue: Tissue,
    training: Mapping[str, object],
    settings: Align,
    out: Path,
) -> None:
    """Fit `method` on the alignment rows of each fold with each seed; write weights and curves.

    `out` becomes a folder with `<fold>-<seed>.safetensors` and, for trained methods,
    `curves/<fold>-<seed>/`. It appears when everything is done; what was trained before a kill is
    kept in the scratch folder and continued from there.
    """
    count = settings.seeds if method.seeded else 1
    checkpoints = []
    with atomic(out) as folder:
        folder.mkdir()
        for fold in tissue.folds:
            image, expression = tissue.standardised(fold)
            rows = Pairs(image[fold.align], expression[fold.align], tissue.donor[fold.align])
            for seed in range(settings.seed, settings.seed + count):
                label = f"{name} {fold.name} seed {seed}"
                with _curve(folder / "curves" / f"{fold.name}-{seed}") as log:
                    checkpoint = scratch() / _key(method, training, rows, seed)
                    run = Run(seed, training, log, checkpoint, label)
                    weights.save(folder, fold.name, seed, method.fit(rows, run))
                    checkpoints.append(checkpoint)
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)


@contextmanager
def _curve(folder: Path) -> Iterator[Callable[[str, float, int], None]]:
    """Log one training curve with dvclive, into a folder made when something is logged."""
    with ExitStack() as stack:

        @functools.cache
        def live() -> "Live":
            from dvclive.live import Live  # noqa: PLC0415 - most methods log nothing

            opened = Live(str(folder), dvcyaml=None, save_dvc_exp=False, report=None)
            stack.callback(opened.end)
            return opened

        def log(name: str, number: float, epoch: int) -> None:
            live().step = epoch
            live().log_metric(name, number)

        yield log


def _key(method: Method, training: Mapping[str, object], rows: Pairs, seed: int) -> str:
    """Return the name of a checkpoint: it changes with code, parameters, inputs and torch."""
    digest = hashlib.sha256()
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "cell_synergy" and module.__file__:
            digest.update(Path(module.__file__).read_bytes())
    torch = sys.modules.get("torch")
    place = str(device()) if torch else "cpu"
    settings = [place, method.model_dump(), dict(training), seed, getattr(torch, "__version__", "")]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for array in (rows.image, rows.expression, rows.donor.astype("U")):
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"{digest.hexdigest()}.pt"

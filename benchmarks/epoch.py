"""Time one epoch of SimCLR: our loop, with one or several replicas, against a DataLoader loop.

python -m benchmarks.epoch observations=71000 stacks=1,3,21 repeats=3 out=benchmarks/epoch.csv

Pairs of 1536 and 512 features, batches of 256, one thread, all alternately in this process, the
best of some repeats; `stacks` are numbers of replicas. The peers are plain loops over a shuffled
DataLoader, one model, AdamW, with our network and loss, and the same augmentation in plain PyTorch;
all must end at the same loss, up to the order of batches. One augments whole batches as we do, the
other each observation in the data set's transform, as lightly's and solo-learn's examples do.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from cell_synergy import models
from cell_synergy.core.config import Config, arguments, merge, read_section, validate
from cell_synergy.core.device import device, use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.training.loop import Trained, TrainingConfig
from cell_synergy.training.method import FitSpec, Pairs, RunContext

D1, D2, SHARED, BATCH = 1536, 512, 64, 256


class Args(Config):
    """Number of observations, numbers of replicas, number of repeats, and the output."""

    observations: PositiveInt
    stacks: list[PositiveInt]
    repeats: PositiveInt
    out: Path


def data(units: int) -> Pairs:
    """Return embeddings of two modalities that share some directions."""
    rng = np.random.default_rng(0)
    image, expression = (rng.standard_normal((units, d), dtype=np.float32) for d in (D1, D2))
    expression[:, :SHARED] += image[:, :SHARED]
    return Pairs(image, expression, np.zeros(units, dtype=np.int64))


def augment(x: Tensor, training: TrainingConfig) -> Tensor:
    """Drop features, then add noise."""
    kept = torch.rand_like(x) >= training.feature_dropout
    return x * kept + training.noise_std * torch.randn_like(x)


class Transformed(Dataset[tuple[Tensor, ...]]):
    """Pairs that are augmented one by one."""

    def __init__(self, pairs: Pairs, training: TrainingConfig) -> None:
        self.sides = torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression)
        self.training = training

    def __len__(self) -> int:
        return len(self.sides[0])

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(augment(x[index], self.training) for x in self.sides)


def peer(method: Trained, pairs: Pairs, training: TrainingConfig, *, by_unit: bool) -> float:
    """Train one epoch with a DataLoader; return the mean loss."""
    torch.manual_seed(0)
    network = method.network(D1, D2).to(device())
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=method.lr, weight_decay=training.weight_decay
    )
    whole = TensorDataset(torch.from_numpy(pairs.image), torch.from_numpy(pairs.expression))
    dataset = Transformed(pairs, training) if by_unit else whole
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True, drop_last=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(loader))
    losses = []
    for batch in loader:
        sides = [x.to(device()) for x in batch]
        image, expression = sides if by_unit else (augment(x, training) for x in sides)
        loss = network.loss([(image, expression)])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def ours(method: Trained, pairs: Pairs, training: TrainingConfig, copies: int) -> float:
    """Train one epoch of `copies` replicas with the study's loop; return the mean loss."""
    few = Pairs(pairs.image[:2], pairs.expression[:2], pairs.donor[:2])
    jobs = [FitSpec(f"benchmark-{seed}", pairs, few, seed) for seed in range(copies)]
    losses = []

    def log(name: str, number: float, _: int) -> None:
        if name.startswith("train"):
            losses.append(number)

    with TemporaryDirectory() as folder:
        run = RunContext(training.model_dump(), log, Path(folder, "checkpoint"), f"{copies} models")
        method.fit(jobs, run)
    return float(np.mean(losses))


def best(run: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Return the shortest time of the repeats, in seconds, and the loss."""
    seconds, loss = [], float("nan")
    for _ in range(repeats):
        start = perf_counter()
        loss = run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(perf_counter() - start)
    return min(seconds), loss


def main(args: Args) -> None:
    """Print and write seconds per model and epoch, and ratios to the peers."""
    use_threads(1)
    method = models.load("simclr", read_section("models.simclr"))
    if not isinstance(method, Trained):
        raise TypeError("simclr is trained by gradient steps")
    changed = {"max_epochs": 1, "batch_size": BATCH}
    training = validate(TrainingConfig, merge(read_section("training"), changed), "training")
    half = validate(TrainingConfig, training.model_dump() | {"precision": "bfloat16"}, "training")
    pairs = data(args.observations)
    print(f"{args.observations} pairs of {D1} and {D2} features on {device()}")
    rows: list[dict[str, object]] = []
    peers = {}
    for name, by_unit in (("batches", False), ("observations", True)):
        run = partial(peer, method, pairs, training, by_unit=by_unit)
        peers[name], loss = best(run, args.repeats)
        print(f"DataLoader, augmenting {name:7}: {peers[name]:6.2f} s, loss {loss:.4f}", flush=True)
        rows.append({"loop": f"DataLoader, {name}", "seconds": peers[name], "loss": loss})
    for name, settings, stacks in (("float32", training, args.stacks), ("bfloat16", half, [1])):
        for copies in stacks:
            taken, loss = best(partial(ours, method, pairs, settings, copies), args.repeats)
            row = {"loop": f"ours, {name}", "models": copies, "seconds": taken / copies}
            row |= {f"to_{name}": taken / copies / seconds for name, seconds in peers.items()}
            rows.append(row | {"loss": loss})
            print(
                f"ours, {name:8}, {copies:2} models: {taken / copies:6.2f} s per model, ratio "
                f"{row['to_batches']:.2f} to batches, {row['to_observations']:.2f} to "
                f"observations, loss {loss:.4f}",
                flush=True,
            )
    with atomic_write(args.out) as new:
        pd.DataFrame(rows).to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))

"""Time the tokens of Nicheformer against the authors' implementation, on the same cells.

python -m benchmarks.tokenizer cells=20000 out=benchmarks/tokenizer.csv

`cells` of a Xenium panel (343 genes, about 100 counts), and a tenth as many of a
whole transcriptome (15,000 genes, about 6,000 counts); the gene list has 20,310. In the authors'
repository a thousand cells at a time are brought to the gene list
as a dense matrix, normalised, divided by the technology's means, and each row's non-zero values are
sorted; every cell is padded to 1,500 tokens. Ours never makes a dense matrix and pads a batch to
its longest cell. One thread, all in this process; padding is not counted as tokens. Half a minute
on one core.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Int64
from pydantic import PositiveInt
from scipy import sparse

from cell_synergy.core.config import Config, arguments
from cell_synergy.core.device import use_threads
from cell_synergy.core.errors import report_errors
from cell_synergy.core.files import atomic_write
from cell_synergy.encoders._nicheformer.tokenizer import FIRST_GENE, PAD, TARGET_SUM, Tokenizer

GENES, CONTEXT, LONGEST, CHUNK, BATCH = 20_310, (5, 9, 4), 1500, 1000, 32
Result = TypeVar("Result")


class Args(Config):
    """Number of cells of the panel, and the output."""

    cells: PositiveInt
    out: Path


def cells(count: int, genes: int, depth: float) -> sparse.csr_matrix:
    """Draw cells whose genes differ a thousandfold in their mean."""
    rng = np.random.default_rng(0)
    share = rng.lognormal(0, 1.5, genes)
    rates = depth * share / share.sum()
    drawn = [sparse.csr_matrix(rng.poisson(rates, (CHUNK, genes))) for _ in range(count // CHUNK)]
    return sparse.csr_matrix(sparse.vstack(drawn), dtype=np.float32)


def ours(
    counts: sparse.csr_matrix, names: pd.Index, tokenizer: Tokenizer
) -> list[Int64[np.ndarray, "cells length"]]:
    """Return padded batches, short cells first."""
    sentences = tokenizer.encode(counts, names, 1)
    return [sentences.padded(batch)[0] for batch in sentences.batches(BATCH)]


def dense(
    counts: sparse.csr_matrix, names: pd.Index, tokenizer: Tokenizer
) -> list[Int64[np.ndarray, "cells length"]]:
    """Return padded batches, in the cells' order, by way of dense matrices."""
    place, batches = tokenizer.genes.get_indexer(names), []
    for start in range(0, counts.shape[0], CHUNK):
        aligned = np.zeros((CHUNK, len(tokenizer.genes)))
        aligned[:, place] = counts[start : start + CHUNK].toarray()
        total = aligned.sum(axis=1, keepdims=True)
        raised = aligned * (TARGET_SUM / (total + (total == 0))) / tokenizer.means
        tokens = np.full((CHUNK, LONGEST), PAD, dtype=np.int64)
        tokens[:, : len(CONTEXT)] = CONTEXT
        for row, cell in zip(tokens, raised, strict=True):
            seen = np.flatnonzero(cell)
            ranked = seen[np.argsort(-cell[seen], kind="stable")][: LONGEST - len(CONTEXT)]
            row[len(CONTEXT) : len(CONTEXT) + len(ranked)] = FIRST_GENE + ranked
        batches += [tokens[at : at + BATCH] for at in range(0, CHUNK, BATCH)]
    return batches


def timed(name: str, tokens: int, call: Callable[[], Result]) -> tuple[float, Result]:
    """Return tokens per second of processor time, and the result."""
    cpu, clock = process_time(), perf_counter()
    found = call()
    cpu, clock = process_time() - cpu, perf_counter() - clock
    print(f"  {name:6}{tokens / cpu:14,.0f} tokens/CPU s, {clock:6.1f} s by the clock", flush=True)
    return tokens / cpu, found


def compare(title: str, counts: sparse.csr_matrix) -> dict[str, object]:
    """Print and return both speeds, their ratio, padding, and the share of cells with equal tokens.

    A cell with more than 1,497 genes is truncated. Rounding by the scaling breaks ties differently,
    so that other genes may be cut.
    """
    names = pd.Index([f"g{gene}" for gene in range(counts.shape[1])])
    genes = pd.Index([f"g{gene}" for gene in range(GENES)])
    means = np.random.default_rng(1).integers(1, 50, GENES).astype(float)
    tokenizer = Tokenizer(genes, means, CONTEXT, LONGEST)
    tokens = int(tokenizer.encode(counts, names, 1).lengths.sum())
    print(f"{title}: {counts.shape[0]:,} cells, {tokens / counts.shape[0]:.0f} tokens each")
    order = np.concatenate(list(tokenizer.encode(counts, names, 1).batches(BATCH)))
    fast, first = timed("ours", tokens, lambda: ours(counts, names, tokenizer))
    slow, second = timed("dense", tokens, lambda: dense(counts, names, tokenizer))
    padding = [
        sum((batch == PAD).sum() for batch in batches) / tokens for batches in (first, second)
    ]
    equal = (_sums(first) == _sums(second)[order]).mean()
    print(
        f"  {fast / slow:.1f} times as fast; {padding[0]:.2f} and {padding[1]:.2f} padding per "
        f"token; {equal:.1%} of cells have the same tokens"
    )
    return {
        "counts": title, "cells": counts.shape[0], "ours": fast, "dense": slow,
        "ratio": fast / slow, "padding": padding[0], "padding_dense": padding[1], "equal": equal,
    }  # fmt: skip


def _sums(batches: list[Int64[np.ndarray, "cells length"]]) -> Int64[np.ndarray, " cells"]:
    """Return the sum of each cell's tokens without padding."""
    return np.concatenate([np.where(batch == PAD, 0, batch).sum(axis=1) for batch in batches])


def main(args: Args) -> None:
    """Compare on both kinds of cells, and write tokens per second."""
    use_threads(1)
    rows = [
        compare("Xenium panel", cells(max(args.cells, CHUNK), 343, 100.0)),
        compare("transcriptome", cells(max(args.cells // 10, CHUNK), 15_000, 6000.0)),
    ]
    with atomic_write(args.out) as new:
        pd.DataFrame(rows).to_csv(new, index=False, float_format="%.4g")


if __name__ == "__main__":
    with report_errors(__doc__, bare=False):
        main(arguments(Args, sys.argv[1:]))

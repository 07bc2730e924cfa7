"""Embedding of image patches; crops are prefetched by threads while the device computes."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from tqdm import tqdm

from cell_synergy.core.device import device
from cell_synergy.core.errors import DataError
from cell_synergy.core.resume.part_store import PartStore
from cell_synergy.raw.images import Slide, open_slide

Network = Callable[[UInt8[Tensor, "_ _ _ 3"]], Float32[Tensor, "_ _"]]
"""Function of 8-bit RGB patches on the device, obs x height x width x 3: features, obs x dim."""

_PREFETCH_BYTES = 2**28  # memory of prefetched crops
_MAX_READERS = 8  # threads that read crops if the device is a GPU; 1 on a CPU


@dataclass(frozen=True)
class PatchEmbedder:
    """Embedding of observations by the image patches around them.

    Attributes
    ----------
    network
        Function of the patches of one field of view that returns their features.
    fields_um
        Sides of the fields of view, in micrometres; the features of all fields are concatenated.
    batch_size
        Observations per batch.
    """

    network: Network
    fields_um: Sequence[float]
    batch_size: int

    def embed(
        self, pairs: ad.AnnData, raw: Path, width: int, store: PartStore
    ) -> Float32[np.ndarray, "obs width"]:
        """Return the embedding of each observation, in the order of `pairs`.

        The features of one field of view are followed by those of the next. Batches that are in
        `store` are not recomputed.

        Parameters
        ----------
        pairs
            Observations with `obs["section"]`, coordinates x and y in micrometres in
            `obsm["spatial"]`, and for each section the micrometres per pixel in `uns["mpp"]` and
            the path of the image in `uns["images"]`.
        raw
            Folder to which these paths are relative.
        width
            Total number of features of all fields of view.
        store
            Batches that an interrupted run completed, in the order of computation; each new batch
            is added.

        Raises
        ------
        DataError
            If an image cannot be read, or a new feature is not finite.
        """
        sections = pairs.obs["section"].astype(str).to_numpy()
        embedding = np.empty((pairs.n_obs, width), dtype=np.float32)
        completed = store.batches()
        with tqdm(total=pairs.n_obs, desc="patches", unit="patch") as progress:
            for section in dict.fromkeys(sections):
                rows = np.flatnonzero(sections == section)
                mpp = float(pairs.uns["mpp"][section])
                centres = pairs.obsm["spatial"][rows] / mpp
                with open_slide(raw / pairs.uns["images"][section], trusted=True) as slide:
                    count = -(-len(rows) // self.batch_size)
                    parts = np.array_split(slide.reading_order(centres), count)
                    done = [features for _, features in zip(parts, completed, strict=False)]
                    new = self._features(slide, mpp, [centres[p] for p in parts[len(done) :]])
                    batches = zip(parts, chain(done, new), strict=True)
                    for number, (part, features) in enumerate(batches):
                        if number >= len(done):
                            _require_finite(features, pairs.obs_names[rows[part]])
                            store.add_batch(features)
                        embedding[rows[part]] = features
                        progress.update(len(part))
        return embedding

    def _features(
        self, slide: Slide, mpp: float, batches: list[Float[np.ndarray, "_ 2"]]
    ) -> Iterator[Float32[np.ndarray, "_ width"]]:
        """Yield the features of each batch of centres (in pixels)."""
        sides = [max(round(um / mpp), 1) for um in self.fields_um]
        max_waiting = _PREFETCH_BYTES // (3 * self.batch_size * sum(side**2 for side in sides))
        for fields in _prefetch(partial(_crop_fields, slide, sides), batches, max_waiting):
            features = [self.network(f.to(device(), non_blocking=True)) for f in fields]
            yield torch.cat(features, dim=1).cpu().numpy()


def _crop_fields(
    slide: Slide, sides: list[int], centres: Float[np.ndarray, "obs 2"]
) -> list[UInt8[Tensor, "obs _ _ 3"]]:
    """Return the 8-bit RGB crops around the centres (x and y in pixels), a tensor per field."""
    fields = []
    for side in sides:
        patches = np.empty((len(centres), side, side, 3), dtype=np.uint8)
        for patch, centre in zip(patches, centres, strict=True):
            patch[:] = slide.crop(centre, side)
        field = torch.from_numpy(patches)
        fields.append(field.pin_memory() if device().type == "cuda" else field)
    return fields


def _prefetch(
    read: Callable[[Float[np.ndarray, "_ 2"]], list[Tensor]],
    batches: list[Float[np.ndarray, "_ 2"]],
    max_waiting: int,
) -> Iterator[list[Tensor]]:
    """Yield `read(batch)` in order, computed by threads up to `max_waiting` batches ahead."""
    readers = min(_MAX_READERS, os.cpu_count() or 1) if device().type == "cuda" else 1
    pool = ThreadPoolExecutor(readers)
    queue: deque[Future[list[Tensor]]] = deque()
    try:
        for batch in batches:
            queue.append(pool.submit(read, batch))
            if len(queue) > min(max(max_waiting, 1), 2 * readers):
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _require_finite(features: Float32[np.ndarray, "obs width"], names: pd.Index) -> None:
    rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(rows):
        raise DataError(
            f"the features of observation {names[rows[0]]!r} and {len(rows) - 1} others of its "
            "batch are not finite; the expert's weights are damaged: get them again"
        )

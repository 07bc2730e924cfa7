"""Items of Trifeature with simulated embeddings of both modalities, and pairs of items."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from cell_synergy.core.errors import ConfigError
from cell_synergy.core.principal_axes import principal_axes
from cell_synergy.core.random import stream
from cell_synergy.data.embeddings import standardise
from cell_synergy.data.inputs import InputConfig
from cell_synergy.training.method import Pairs

SHAPE, COLOUR, TEXTURE = range(3)
VALUES = 10
DRAWS = 3  # items of each triplet (shape, colour, texture)
TEST_TRIPLETS = 200
TEST = -1


class TrifeatureConfig(InputConfig):
    """Configuration of the benchmark; `trifeature.methods` has the methods compared.

    `axes` is the maximal number of principal axes of each embedding that a fusion method gets, as
    `align.axes` for tissue.

    Attributes
    ----------
    seed, seeds
        First seed, and number of consecutive seeds; all draws depend on the seed.
    image_width, expression_width
        Number of features of the embeddings.
    noise
        Standard deviation of the noise on each feature; the sum of the codes of an item's shape,
        colour and texture has standard deviation 1.
    pairs
        Number of training pairs of a method.
    probe_pairs
        Number of training pairs of a probe, and number of its test pairs.
    max_epochs
        Number of passes over the training pairs of a method.
    """

    seed: NonNegativeInt
    seeds: PositiveInt
    image_width: PositiveInt
    expression_width: PositiveInt
    noise: NonNegativeFloat
    pairs: PositiveInt
    probe_pairs: PositiveInt
    max_epochs: PositiveInt


@dataclass(frozen=True)
class TrifeatureWorld:
    """All items with their embeddings; every draw has its own random stream.

    Attributes
    ----------
    seed
        Seed of all streams.
    triplets
        Shape, colour and texture of each item, each a number from 0 to 9.
    part
        Inner fold of each training item, and `TEST` (-1) for each test item; all items of a triplet
        are in one inner fold, or are test items.
    matching
        The colour that matches each texture; textures are the indices.
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
    def make(cls, config: TrifeatureConfig, folds: int, seed: int) -> "TrifeatureWorld":
        """Draw the split of triplets, the matching of colours to textures, and the embeddings.

        A triplet is a combination of shape, colour and texture; each has three items.

        Parameters
        ----------
        config
            Configuration of the benchmark.
        folds
            Number of inner folds into which the training triplets are divided.
        seed
            Seed of all streams.
        """
        grid = np.indices((VALUES,) * 3).reshape(3, -1).T
        shuffled = _stream(seed, "split").permutation(len(grid))
        part = np.full(len(grid), TEST)
        part[shuffled[TEST_TRIPLETS:]] = np.arange(len(grid) - TEST_TRIPLETS) % folds
        triplets, part = np.repeat(grid, DRAWS, axis=0), np.repeat(part, DRAWS)
        widths = {"image": config.image_width, "expression": config.expression_width}
        embeddings = []
        for side, width in widths.items():
            codes = _stream(seed, "codes", side).standard_normal((3, VALUES, width)) / np.sqrt(3)
            noise = _stream(seed, "noise", side).standard_normal((len(triplets), width))
            x = codes[np.arange(3), triplets].sum(axis=1) + config.noise * noise
            embeddings.append(standardised(x.astype(np.float32), part != TEST))
        matching = _stream(seed, "matching").permutation(VALUES)
        return cls(seed, triplets, part, matching, *embeddings)

    def with_inputs(self, axes: int | None) -> "TrifeatureWorld":
        """Return the same items with the inputs of a method in place of the embeddings.

        Parameters
        ----------
        axes
            Maximal number of principal axes of each embedding, fitted on the training items; None
            for all features.
        """
        if axes is None:
            return self
        train = self.part != TEST
        image, expression = (
            x @ principal_axes(x[train], axes) for x in (self.image, self.expression)
        )
        return replace(self, image=image, expression=expression)

    def draw(
        self, within: Bool[np.ndarray, " items"], match: bool | None, count: int, *purpose: str
    ) -> Int[np.ndarray, "count 2"]:
        """Draw pairs of items of equal shape without replacement.

        Parameters
        ----------
        within
            Mask of the items to draw from.
        match
            Whether the colour of the expression item has to match the texture of the image item
            (False: must not match); None for any colour.
        count
            Number of pairs.
        purpose
            Words that name the random stream; equal ones give equal draws.

        Returns
        -------
        :
            Item indices (image, expression), one row per pair.

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
                "that exist; set trifeature.pairs or trifeature.probe_pairs lower"
            )
        draws = _stream(self.seed, "pairs", *purpose)
        return items[pairs[draws.choice(len(pairs), count, replace=False)]]

    def training_pairs(self, kind: str, count: int) -> Pairs:
        """Draw pairs of training items of equal shape, and return their embeddings.

        Parameters
        ----------
        kind
            `any` for pairs of any texture and colour; `matching` for pairs in which the colour of
            the expression item matches the texture of the image item.
        count
            Number of pairs.

        Raises
        ------
        ConfigError
            If there are fewer such pairs.
        """
        match = True if kind == "matching" else None
        return self.pairs(self.draw(self.part != TEST, match, count, "training", kind))

    def probe_pairs(self, kind: str, count: int) -> Int[np.ndarray, "obs 2"]:
        """Draw item pairs of equal shape for a probe: test pairs, then those of each inner fold.

        Both items of a pair are in the same inner fold, or both are test items.

        Parameters
        ----------
        kind
            `any` for pairs of any texture and colour; `matching` for pairs of which in one half the
            colour of the expression item matches the texture of the image item, in the other not.
        count
            Number of training pairs, rounded down to equal numbers per inner fold and half, and
            number of test pairs, rounded down to equal halves.

        Returns
        -------
        :
            Item indices (image, expression), one row per pair.

        Raises
        ------
        ConfigError
            If there are fewer such pairs.
        """
        rules = (True, False) if kind == "matching" else (None,)
        drawn = []
        for part in range(TEST, folds := int(self.part.max()) + 1):
            size = count // len(rules) // (1 if part == TEST else folds)
            for rule in rules:
                purpose = ("probe", kind, str(part), str(rule))
                drawn.append(self.draw(self.part == part, rule, size, *purpose))
        return np.concatenate(drawn)

    def pairs(self, items: Int[np.ndarray, "obs 2"]) -> Pairs:
        """Return the embeddings of pairs of items, given their indices (image, expression)."""
        donor = np.full(len(items), "trifeature")
        return Pairs(self.image[items[:, 0]], self.expression[items[:, 1]], donor)

    def label(self, task: str, items: Int[np.ndarray, "obs 2"]) -> Int[np.ndarray, " obs"]:
        """Return the label of each pair in one task.

        Parameters
        ----------
        task
            `redundancy`, `unique_image`, `unique_expression` or `synergy`.
        items
            Item indices (image, expression) of each pair.

        Returns
        -------
        :
            For `redundancy` the shape, 0 to 9; for `unique_...` the texture, 0 to 9, of the item of
            that modality; for `synergy` 1 if the colour of the expression item matches the texture
            of the image item, else 0.
        """
        first, second = self.triplets[items[:, 0]], self.triplets[items[:, 1]]
        labels: Int[np.ndarray, " obs"] = {
            "redundancy": first[:, SHAPE],
            "unique_image": first[:, TEXTURE],
            "unique_expression": second[:, TEXTURE],
            "synergy": (self.matching[first[:, TEXTURE]] == second[:, COLOUR]).astype(np.int64),
        }[task]
        return labels


def _stream(seed: int, *purpose: str) -> np.random.Generator:
    return stream(seed, "trifeature", *purpose)


def standardised(
    x: Float32[np.ndarray, "rows d"], fit: Bool[np.ndarray, " rows"]
) -> Float32[np.ndarray, "rows d"]:
    """Centre each feature and divide it by its standard deviation; constant features become zero.

    Parameters
    ----------
    x
        Features.
    fit
        Mask of the rows from which means and standard deviations are computed.
    """
    return standardise(x, fit, np.zeros(len(x)), "train")

"""Design of a study of one data set: roles of donors, folds, scaling of the embeddings.

These keys of `data.<dataset>` are all that training depends on; `config` has the others.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from cell_synergy.core.config import Config
from cell_synergy.core.labels import check_spellings
from cell_synergy.data.naming import GroupNames, OfKind

Role = Literal["reference", "train", "probe", "test", "study"]

BLOCKS = "leave-one-block-out"


class GroupSplit(Config):
    """A split of donors, or of sections.

    Attributes
    ----------
    kind
        `holdout`: the roles `train`, `probe` and `test` are the donors of one fold.
        `leave-one-donor-out` and `leave-one-section-out` leave each study donor (section) out in
        turn.
    """

    kind: Literal["holdout", "leave-one-donor-out", "leave-one-section-out"]


class BlockSplit(Config):
    """A split of every study section into stripes, of which each is left out in turn.

    Its scores do not generalise to other donors. Without reference donors the first block of each
    section is the reference. `standardise: donor` scales each block by its own observations. See
    `cell_synergy.data.blocks`.

    Attributes
    ----------
    kind
        `leave-one-block-out`.
    blocks
        Number of stripes of a section.
    gap_um
        Width of the gaps between stripes, in micrometres, at least `unit_um`.
    """

    kind: Literal["leave-one-block-out"]
    blocks: Annotated[int, Field(ge=2)]
    gap_um: PositiveFloat


Split = Annotated[GroupSplit | BlockSplit, Field(discriminator="kind"), OfKind]
"""How folds divide the observations of a data set."""


class RolesConfig(Config):
    """Roles of the donors of a data set.

    Attributes
    ----------
    roles
        A list of donors (sections under `leave-one-section-out`) for each role: `reference`
        (experts and hyperparameters are fitted on it, never scored), `train` (alignment and
        probes), `probe` (probes only), `test` (scored), or `study` (each left out in turn, in
        leave-one-out splits).
    """

    roles: dict[Role, GroupNames]

    @property
    def role_of(self) -> dict[str, Role]:
        """Role of each donor (or section), by name."""
        return {donor: role for role, donors in self.roles.items() for donor in donors}


class DesignConfig(RolesConfig):
    """Roles, folds, and scaling of the embeddings of one data set.

    Attributes
    ----------
    standardise
        Mean and standard deviation by which each feature of the embeddings is standardised: those
        of the training observations (`train`), or within each donor, section or block (`donor`).
    split
        How folds divide the observations.
    """

    standardise: Literal["train", "donor"]
    split: Split

    @model_validator(mode="after")
    def _roles_are_those_of_the_split(self) -> "DesignConfig":
        allowed = (
            {"reference", "train", "probe", "test"}
            if self.split.kind == "holdout"
            else {"reference", "study"}
        )
        if wrong := sorted(set(self.roles) - allowed):
            kind = self.split.kind
            raise ValueError(f"split {kind!r} has the roles {sorted(allowed)}, not {wrong}")
        with_role = [donor for donors in self.roles.values() for donor in donors]
        if twice := sorted({donor for donor in with_role if with_role.count(donor) > 1}):
            raise ValueError(f"one role for a {self.grouping}, but {twice} are listed twice")
        check_spellings(with_role, self.grouping, "roles")
        return self

    @property
    def block_split(self) -> BlockSplit | None:
        """The split into blocks of a section; None for other splits."""
        return self.split if isinstance(self.split, BlockSplit) else None

    @property
    def group(self) -> str:
        """Column of `obs` whose groups are in training or in test as a whole."""
        return self.grouping if self.block_split is None else "block"

    @property
    def grouping(self) -> Literal["donor", "section"]:
        """Kind of groups in `roles`: sections under `leave-one-section-out`, otherwise donors."""
        return "section" if self.split.kind == "leave-one-section-out" else "donor"

"""Settings of the losses between images and captions, by the loss's name; light to import."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from pydantic import Field

from mmkrl.config import Section, check
from mmkrl.errors import UsageError
from mmkrl.plugins import Registry

if TYPE_CHECKING:
    from torch import nn

Mining: TypeAlias = Literal["sum", "semi_hard", "max", "top_k"]


class LossConfig(Section):
    """Settings of a contrastive loss; those of a loss of one's own derive from it.

    Attributes:
        implementation: ``MODULE:NAME`` of the loss that is made of these settings, a
            :class:`mmkrl.losses.contrastive.ContrastiveLoss`.
    """

    implementation: ClassVar[str]

    name: str
    """Which loss: a known name, or ``python:MODULE:NAME`` of settings of your own."""

    @property
    def has_warmup(self) -> bool:
        """Whether epochs of a warm-up would differ from the others."""
        return False

    def build(self) -> nn.Module:
        """The loss with these settings."""
        loss: nn.Module = resolve_name(self.implementation)(self)
        return loss


class TripletConfig(LossConfig):
    """Triplet ranking (:class:`mmkrl.losses.contrastive.TripletRanking`)."""

    implementation: ClassVar[str] = "mmkrl.losses.contrastive:TripletRanking"

    name: str = "triplet"
    """Which loss."""
    margin: float = Field(default=0.2, gt=0, json_schema_extra={"search": [0.05, 0.4]})
    """Least difference of the scores of a match and a negative."""
    mining: Mining = "sum"
    """Negatives that count: all of the batch in a ``sum``, the hardest (``max``, VSE++), the mean
    of the ``top_k`` hardest (two-branch networks), or the hardest below the match
    (``semi_hard``). A warm-up takes the ``sum``."""
    top_k: int = Field(default=10, ge=1)
    """How many negatives, the hardest, count with ``mining = 'top_k'``."""

    @property
    def has_warmup(self) -> bool:
        """Whether the mining differs from the sum that a warm-up takes."""
        return self.mining != "sum"


class InfoNCEConfig(LossConfig):
    """InfoNCE (NT-Xent): cross-entropy of the match (:class:`mmkrl.losses.contrastive.InfoNCE`)."""

    implementation: ClassVar[str] = "mmkrl.losses.contrastive:InfoNCE"

    name: str = "infonce"
    """Which loss."""
    temperature: float = Field(default=0.07, gt=0, json_schema_extra={"search": [0.02, 0.2]})
    """What scores are divided by; of a learnable one, at the start."""
    learnable: bool = True
    """Whether the temperature is learned."""
    largest_scale: float = Field(default=100.0, gt=0)
    """The inverse of a learned temperature never grows beyond this."""


class SigLIPConfig(LossConfig):
    """Binary cross-entropy of every pair (:class:`mmkrl.losses.contrastive.SigLIP`)."""

    implementation: ClassVar[str] = "mmkrl.losses.contrastive:SigLIP"

    name: str = "siglip"
    """Which loss."""
    temperature: float = Field(default=0.1, gt=0, json_schema_extra={"search": [0.02, 0.2]})
    """What scores are divided by; of a learnable one, at the start."""
    bias: float = Field(default=-10.0, json_schema_extra={"search": [-10.0, 0.0]})
    """What is added then; of a learnable one, at the start."""
    learnable: bool = True
    """Whether temperature and bias are learned."""


CONTRASTIVE_LOSSES: Registry[type[LossConfig]] = Registry(
    "contrastive loss",
    "mmkrl.losses",
    {
        "triplet": "mmkrl.losses.config:TripletConfig",
        "infonce": "mmkrl.losses.config:InfoNCEConfig",
        "siglip": "mmkrl.losses.config:SigLIPConfig",
    },
)


def loss_settings(given: object) -> object:
    """Settings of a loss from its name, or from a mapping of ``name`` (else triplet) and settings.

    For pydantic: anything else is given back as it is.

    Raises:
        ValueError: no loss has that name, or a setting does not fit it.
    """
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping):
        return given
    name = str(given.get("name", "triplet"))
    try:
        kind = CONTRASTIVE_LOSSES.get(name)
        if not (isinstance(kind, type) and issubclass(kind, LossConfig)):
            raise UsageError(f"{name!r} is no mmkrl.losses.config.LossConfig")
        return check({**given, "name": name}, kind)
    except UsageError as error:
        raise ValueError(str(error)) from error

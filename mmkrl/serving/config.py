"""Under which name trained models are kept."""

from __future__ import annotations

from pydantic import Field, model_validator

from mmkrl.config import Section

_ALIAS = r"^[A-Za-z_][\w-]*$"


class RegistryConfig(Section):
    """Under which name trained models are kept."""

    name: str | None = None
    """Name in MLflow's model registry; null means that of the experiment. Where it is
    set, the whole chain ends with registering, too."""
    champion: str = Field(default="champion", pattern=_ALIAS)
    """Alias of the best version. It moves to a version that is better on the validation queries by
    more than the interval."""
    candidate: str = Field(default="candidate", pattern=_ALIAS)
    """Alias of the newest version that is not better, or cannot be compared."""

    @model_validator(mode="after")
    def _aliases_differ(self) -> RegistryConfig:
        if self.champion == self.candidate:
            raise ValueError(f"champion and candidate are both {self.champion!r}: name two aliases")
        return self

"""How losses are chosen in a configuration."""

from __future__ import annotations

from typing import Literal, TypeAlias

Mining: TypeAlias = Literal["sum", "semi_hard", "max", "top_k"]

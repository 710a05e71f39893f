"""mmkrl: multi-modal knowledge representation learning.

What is computed lives here (plain torch and arrow, no Ray); where it runs lives in ``cluster``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmkrl.serving.loaded import Model

__version__ = "0.1.0"
__all__ = ["load"]


def load(where: str | Path, *, tracking: str | None = None) -> Model:
    """A trained model that can be asked; see :func:`mmkrl.serving.loaded.load`."""
    from mmkrl.serving.loaded import load as opened

    return opened(where, tracking=tracking)

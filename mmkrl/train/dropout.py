"""Dropout whose mask depends on a row's position in the global batch, not on who computes it.

Two processes with half a batch each therefore draw the masks that one process with the whole
batch would, and train to the same losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShardInvariantDropout:
    """The dropout of one forward pass, the same on any number of processes.

    Attributes:
        seed: Differs by step and by use within the step.
        start: Global position of the first local row.
        total: Number of global rows.
    """

    seed: int
    start: int
    total: int

    def __call__(self, row_BD: Tensor, probability: float, layer: int) -> Tensor:
        """Zero each element with some probability and scale the rest by ``1 / (1 - probability)``.

        Args:
            row_BD: Local rows.
            probability: In [0, 1).
            layer: Number of the layer, so that layers draw different masks.
        """
        if probability == 0:
            return row_BD
        generator = torch.Generator().manual_seed((self.seed * 31 + layer) % (1 << 62))
        # Every process draws the masks of all rows, on the CPU whatever device trains, and takes
        # those of its own rows.
        draw_TD = torch.rand(self.total, row_BD.shape[1], generator=generator)
        kept_BD = draw_TD[self.start : self.start + row_BD.shape[0]] >= probability
        return row_BD * kept_BD.to(row_BD) / (1 - probability)

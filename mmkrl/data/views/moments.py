"""Mean and deviation of features that do not fit into memory at once."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def mean_and_deviation(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of every column, float64, shape (F,) each.

    Args:
        parts: The rows in batches, shape (B, F) each.
    """
    count, total, squares = 0, torch.zeros(()).double(), torch.zeros(()).double()
    for part_BF in parts:
        wide_BF = part_BF.double()
        count += len(wide_BF)
        total, squares = total + wide_BF.sum(0), squares + wide_BF.square().sum(0)
    # In one pass. The difference of two large numbers loses digits, which float64 has to spare for
    # features, and may come out below zero for a constant column.
    mean_F = total / count
    return mean_F, (squares / count - mean_F.square()).clamp(min=0).sqrt()


def floored(deviation_F: Tensor, share: float) -> Tensor:
    """Deviations without the very small ones, which would turn noise into signal.

    Args:
        deviation_F: Standard deviation of every column.
        share: The smallest that is left, as a share of the mean deviation.
    """
    return deviation_F.clamp(min=float(share * deviation_F.mean().clamp(min=1e-12)))

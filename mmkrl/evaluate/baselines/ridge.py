"""Ridge regression from features to the vectors of texts, over any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkrl.data.views.moments import floored, mean_and_deviation

Pairs: TypeAlias = Callable[[], Iterable[tuple[Tensor, Tensor]]]
"""Gives features (B, F) and what they should be mapped to (B, D), a batch at a time."""

_DEVIATION_FLOOR = 0.1  # features vary at least this share of the mean deviation


@dataclass(frozen=True)
class Ridge:
    """The normal equations of standardised features.

    Attributes:
        mean_F: Mean of the features of the training rows.
        deviation_F: Their deviation; the smallest ones are raised.
        gram_FF: X'X of the standardised features, float64.
        moment_FD: X'Y, likewise.
    """

    mean_F: Tensor
    deviation_F: Tensor
    gram_FF: Tensor
    moment_FD: Tensor

    @classmethod
    def fitted(cls, pairs: Pairs) -> Ridge:
        """Those of training rows, which are read twice."""
        mean_F, deviation_F = mean_and_deviation(feature_BF for feature_BF, _ in pairs())
        deviation_F = floored(deviation_F, _DEVIATION_FLOOR)
        gram, moment = torch.zeros(()).double(), torch.zeros(()).double()
        for feature_BF, target_BD in pairs():
            standard_BF = (feature_BF.double() - mean_F) / deviation_F
            gram = gram + standard_BF.T @ standard_BF
            moment = moment + standard_BF.T @ target_BD.double()
        return cls(mean_F.float(), deviation_F.float(), gram, moment)

    def weights(self, strength: float) -> Tensor:
        """The map with a penalty, shape (F, D)."""
        # The normal equations are solved anew for each penalty without reading a row. In float64,
        # as their condition number is the square of the features'; positive definite by the
        # penalty.
        penalised_FF = self.gram_FF + strength * torch.eye(len(self.mean_F)).double()
        weight_FD = torch.cholesky_solve(self.moment_FD, torch.linalg.cholesky(penalised_FF))
        return weight_FD.float()

    def best(self, strengths: Sequence[float], value: Callable[[Tensor], float]) -> Tensor:
        """The map with the greatest value among those of several penalties.

        Args:
            strengths: Penalties to try.
            value: Of a map, on validation data.
        """
        return max(map(self.weights, strengths), key=value)

    def vectors(self, feature_BF: Tensor, weight_FD: Tensor) -> Tensor:
        """Unit vectors of features by a map, shape (B, D)."""
        return F.normalize(((feature_BF - self.mean_F) / self.deviation_F) @ weight_FD, dim=1)

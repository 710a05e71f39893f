"""An endless series of shuffled epochs, cut into batches: a function of a seed and a step."""

from __future__ import annotations

import zlib

import numpy as np

from mmkrl.arrays import IntArray


class ShuffledEpochs:
    """Batches that between them take every row once an epoch; a batch may span two epochs.

    Args:
        count: Rows.
        seed: Decides every order.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._orders: dict[tuple[str, int], IntArray] = {}

    def batch(self, series: str, step: int, size: int) -> IntArray:
        """The rows of a step, shape (size,).

        Args:
            series: Name of the series; another one has other orders.
            step: Number of the batch.
            size: Rows of a batch.
        """
        first, last = step * size, (step + 1) * size
        parts = []
        for epoch in range(first // self._count, (last - 1) // self._count + 1):
            start = epoch * self._count
            order_N = self._order(series, epoch)
            parts.append(order_N[max(first - start, 0) : min(last - start, self._count)])
        return np.concatenate(parts)

    def _order(self, series: str, epoch: int) -> IntArray:
        """The order of an epoch; the last two are kept."""
        key = series, epoch
        if key not in self._orders:
            # A generator for each epoch, seeded by its number: a run that resumes finds its order
            # without drawing those before it.
            generator = np.random.default_rng([self._seed, zlib.crc32(series.encode()), epoch])
            while len(self._orders) > 1:
                del self._orders[next(iter(self._orders))]
            self._orders[key] = generator.permutation(self._count)
        return self._orders[key]

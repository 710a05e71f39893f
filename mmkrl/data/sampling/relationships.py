"""Drawing relationships and their corruptions, as a function of a seed alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import IntArray

_REDRAWS = 20


class RelationshipSampler:
    """Draws from a set of relationships.

    Args:
        part_R3: Part index in each slot, one row a relationship.
    """

    def __init__(self, part_R3: IntArray) -> None:
        self._part_R3 = part_R3
        self._choices = [np.unique(part_R3[:, slot]) for slot in range(3)]
        self._base = int(part_R3.max()) + 1
        self._known = np.unique(self._code(part_R3))

    def anchors(self, count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """Rows of ``count`` relationships, drawn with replacement."""
        return generator.integers(0, len(self._part_R3), count)

    def corrupt(self, part_B3: IntArray, slots: int, generator: np.random.Generator) -> IntArray:
        """Relationships with some slots replaced by other parts seen in those slots.

        A result that happens to be a true relationship is drawn again, up to 20 times: where
        every replacement is true, as it can be in a tiny set, a true one stays.

        Args:
            part_B3: True relationships.
            slots: How many slots to replace (1 or 2).
            generator: Source of randomness.

        Returns:
            Array of shape (B, 3).
        """
        result = self._replace(part_B3, slots, generator)
        for _ in range(_REDRAWS):
            true = np.isin(self._code(result), self._known)
            if not true.any():
                break
            result[true] = self._replace(part_B3[true], slots, generator)
        return result

    def _replace(self, part_B3: IntArray, slots: int, generator: np.random.Generator) -> IntArray:
        chosen_B3 = generator.random((len(part_B3), 3)).argsort(axis=1) < slots
        replacement_B3 = np.stack(
            [self._other(part_B3[:, slot], slot, generator) for slot in range(3)], axis=1
        )
        return np.where(chosen_B3, replacement_B3, part_B3)

    def _other(self, part_B: IntArray, slot: int, generator: np.random.Generator) -> IntArray:
        """A part of the slot that differs from the given one, wherever there is another."""
        choices = self._choices[slot]
        shift_B = generator.integers(1, max(2, len(choices)), len(part_B))
        place_B = np.searchsorted(choices, part_B)
        other_B: IntArray = choices[(place_B + shift_B) % len(choices)]
        return other_B

    def _code(self, part_B3: IntArray) -> npt.NDArray[np.int64]:
        return (part_B3[:, 0] * self._base + part_B3[:, 1]) * self._base + part_B3[:, 2]

"""TransE's margin ranking (hinge) loss and its gradients in one pass over pairs of triples.

The rows of a gradient are made when a pair first needs them, so neither time nor memory grows
with the tables.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import Float32Array, IntArray
from mmkrl.kernels.columns import HEAD, RELATION, TAIL
from mmkrl.kernels.compiled import in_any_order, inlined
from mmkrl.kernels.prefetch import prefetch_row

_OWN = 3
_TINY = 1e-30  # where a length is zero its gradient is zero: the differences are


class Pairs(NamedTuple):
    """True triples, each with some corruptions of it.

    Attributes:
        triple_B3: Head, relation and tail.
        other_BK: What replaces a part of the triple.
        slot_BK: Which part, int8: 0 head, 1 relation, 2 tail.
    """

    triple_B3: IntArray
    other_BK: IntArray
    slot_BK: npt.NDArray[np.int8]


class RowGrads(NamedTuple):
    """A gradient by two tables, under construction: the rows that it touches.

    Attributes:
        place_N: Index into ``row_U`` of every row of both tables, the entities first, int32; -1 for
            rows without a gradient so far.
        row_U: The rows of the gradient.
        value_UD: Their values: entities from the first on, relations from the last back, as the
            batch bounds their number together.
        used_2: How many entities and relations there are so far.
    """

    place_N: npt.NDArray[np.int32]
    row_U: IntArray
    value_UD: Float32Array
    used_2: IntArray


@in_any_order
def translation_hinge(
    entity_ED: Float32Array, relation_RD: Float32Array, pairs: Pairs, margin: float, norm: int
) -> tuple[float, RowGrads]:
    """The mean of max(0, margin + E(true) - E(corrupt)) over pairs, E = |head + relation - tail|.

    Args:
        entity_ED: Vectors of all entities.
        relation_RD: Vectors of all relations.
        pairs: What to compare.
        margin: Least difference of the energies.
        norm: 1 for the L1 length, 2 for the L2 length.

    Returns:
        The loss and its gradient. Where a length has no derivative the gradient is zero, as in
        torch.
    """
    entities, dimension = entity_ED.shape
    size, count = pairs.other_BK.shape
    scale, total = 1 / (size * count), 0.0
    grads = _no_grads(entities, len(relation_RD), pairs.other_BK.shape, dimension)
    true_D, corrupt_D = np.empty(dimension, np.float32), np.empty(dimension, np.float32)
    # A corruption moves what it puts in and the two parts it keeps. The first is added at once; for
    # the others, gradients are summed by the slot that is replaced, and in the end each part takes
    # the sum of all less its own slot's: two additions a corruption instead of three.
    sum_4D = np.empty((4, dimension), np.float32)  # of the corruptions by slot, and in all
    for b in range(size):
        _prefetch(entity_ED, grads, pairs, min(b + 1, size - 1))
        head, relation, tail = pairs.triple_B3[b]
        energy = _energy(entity_ED[head], relation_RD[relation], entity_ED[tail], norm, true_D)
        active = 0
        for k in range(count):
            other, slot = pairs.other_BK[b, k], pairs.slot_BK[b, k]
            head_D = entity_ED[other if slot == HEAD else head]
            relation_D = relation_RD[other if slot == RELATION else relation]
            tail_D = entity_ED[other if slot == TAIL else tail]
            corrupt_energy = _energy(head_D, relation_D, tail_D, norm, corrupt_D)
            cost = margin + energy - corrupt_energy
            if cost <= 0:
                continue
            if active == 0:
                _clear(sum_4D)
            total += float(cost)
            active += 1
            # The derivative of the length |d| is the sign of d (L1), or d / |d| (L2).
            factor = -scale if norm == 1 else -scale / max(corrupt_energy, _TINY)
            index = _grad_index(grads, other + entities if slot == RELATION else other, entities)
            sign = -1 if slot == TAIL else 1
            _add_twice(corrupt_D, norm, factor, sum_4D[slot], grads.value_UD[index], sign)
        if active:
            factor = active * scale if norm == 1 else active * scale / max(energy, _TINY)
            _add_up(true_D, norm, factor, sum_4D)
            for slot in range(3):
                row = head if slot == HEAD else (relation + entities if slot == RELATION else tail)
                index = _grad_index(grads, row, entities)
                sign = -1 if slot == TAIL else 1
                _add_rest(sum_4D[_OWN], sum_4D[slot], grads.value_UD[index], sign)
    return total * scale, grads


@in_any_order
def _no_grads(entities: int, relations: int, shape: tuple[int, int], dimension: int) -> RowGrads:
    size, count = shape
    # At most head, tail and every replacement of each triple, or all rows if these are fewer.
    most = min(entities, size * (count + 2)) + min(relations, size * (count + 1))
    return RowGrads(
        np.full(entities + relations, -1, np.int32),
        np.empty(most, np.int64),
        np.empty((most, dimension), np.float32),
        np.zeros(2, np.int64),
    )


@inlined
def _prefetch(entity_ED: Float32Array, grads: RowGrads, pairs: Pairs, b: int) -> None:
    """Fetch the vectors of a triple and its corruptions, and the gradients they have so far."""
    for k in range(pairs.other_BK.shape[1] + 2):
        entity = pairs.triple_B3[b, HEAD if k == 0 else TAIL]
        if k > 1:
            entity = pairs.other_BK[b, k - 2]  # or a relation, which does no harm
        if entity < len(entity_ED):
            prefetch_row(entity_ED, entity)
            prefetch_row(grads.value_UD, max(grads.place_N[entity], 0))


@inlined
def _energy(
    head_D: Float32Array,
    relation_D: Float32Array,
    tail_D: Float32Array,
    norm: int,
    difference_D: Float32Array,
) -> np.float32:
    """The length of head + relation - tail, which is left in ``difference_D``."""
    total = np.float32(0)
    if norm == 1:
        for d in range(len(difference_D)):
            difference = head_D[d] + relation_D[d] - tail_D[d]
            difference_D[d] = difference
            total += abs(difference)
    else:
        for d in range(len(difference_D)):
            difference = head_D[d] + relation_D[d] - tail_D[d]
            difference_D[d] = difference
            total += difference * difference
        total = np.float32(math.sqrt(total))
    return total


@inlined
def _grad_index(grads: RowGrads, row: np.int64, entities: int) -> np.int32:
    """The index of a row's gradient, which is made of zeros when it is first asked for."""
    index: np.int32 = grads.place_N[row]
    if index < 0:
        relation = 1 if row >= entities else 0
        used = grads.used_2[relation]
        index = len(grads.row_U) - 1 - used if relation else used
        grads.used_2[relation] = used + 1
        grads.place_N[row] = index
        grads.row_U[index] = row - entities if relation else row
        for d in range(grads.value_UD.shape[1]):
            grads.value_UD[index, d] = np.float32(0)
    return index


@inlined
def _clear(sum_4D: Float32Array) -> None:
    for slot in range(3):
        for d in range(sum_4D.shape[1]):
            sum_4D[slot, d] = np.float32(0)


@inlined
def _add_twice(
    difference_D: Float32Array,
    norm: int,
    factor: float,
    sum_D: Float32Array,
    row_D: Float32Array,
    sign: int,
) -> None:
    """Add the gradient of a corruption to the sum of its slot and, signed, to the row it has."""
    up, down, zero = np.float32(factor), np.float32(-factor), np.float32(0)
    signed = np.float32(sign)
    if norm == 1:
        for d in range(len(difference_D)):
            difference = difference_D[d]
            grad = up if difference > zero else (down if difference < zero else zero)
            sum_D[d] += grad
            row_D[d] += signed * grad
    else:
        for d in range(len(difference_D)):
            grad = up * difference_D[d]
            sum_D[d] += grad
            row_D[d] += signed * grad


@inlined
def _add_up(difference_D: Float32Array, norm: int, factor: float, sum_4D: Float32Array) -> None:
    """The gradient of the true triple and of all its corruptions."""
    up, down, zero = np.float32(factor), np.float32(-factor), np.float32(0)
    if norm == 1:
        for d in range(len(difference_D)):
            difference = difference_D[d]
            grad = up if difference > zero else (down if difference < zero else zero)
            sum_4D[3, d] = grad + sum_4D[0, d] + sum_4D[1, d] + sum_4D[2, d]
    else:
        for d in range(len(difference_D)):
            grad = up * difference_D[d]
            sum_4D[3, d] = grad + sum_4D[0, d] + sum_4D[1, d] + sum_4D[2, d]


@inlined
def _add_rest(all_D: Float32Array, own_D: Float32Array, row_D: Float32Array, sign: int) -> None:
    """Add to a part's row the gradients of all triples but those in which the part is replaced."""
    signed = np.float32(sign)
    for d in range(len(row_D)):
        row_D[d] += signed * (all_D[d] - own_D[d])

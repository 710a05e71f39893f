"""What a machine allows in training TransE: a compiled loop that updates its tables in place."""

import numba
import numpy as np

_ANY_ORDER = {"reassoc", "contract", "nsz"}


@numba.njit(nogil=True, cache=True, fastmath=_ANY_ORDER)
def descend(entity_ED, relation_RD, drawn, margin, rate):  # noqa: ANN001, ANN201
    """Gradient descent on the L1 margin loss, a pair of triples at a time.

    Args:
        entity_ED: Vectors of entities, changed in place.
        relation_RD: Vectors of relations, changed in place.
        drawn: Triples (N, 3), replacements (N, K), and whether they replace the head (N, K).
        margin: Least difference of the energies.
        rate: Step of a pair.
    """
    triple_N3, other_NK, head_NK = drawn
    dimension = entity_ED.shape[1]
    true_D, false_D = np.empty(dimension, np.float32), np.empty(dimension, np.float32)
    total = 0.0
    for n in range(len(triple_N3)):
        head, relation, tail = triple_N3[n]
        for k in range(other_NK.shape[1]):
            other = other_NK[n, k]
            corrupt_head = other if head_NK[n, k] else head
            corrupt_tail = tail if head_NK[n, k] else other
            true = _energy(entity_ED[head], relation_RD[relation], entity_ED[tail], true_D)
            false = _energy(
                entity_ED[corrupt_head], relation_RD[relation], entity_ED[corrupt_tail], false_D
            )
            cost = margin + true - false
            if cost > 0:
                total += cost
                _move(entity_ED[head], relation_RD[relation], entity_ED[tail], true_D, -rate)
                _move(
                    entity_ED[corrupt_head],
                    relation_RD[relation],
                    entity_ED[corrupt_tail],
                    false_D,
                    rate,
                )
    return total


@numba.njit(nogil=True, cache=True, inline="always")
def _energy(head_D, relation_D, tail_D, difference_D):  # noqa: ANN001, ANN202
    total = np.float32(0)
    for d in range(len(difference_D)):
        difference = head_D[d] + relation_D[d] - tail_D[d]
        difference_D[d] = difference
        total += abs(difference)
    return total


@numba.njit(nogil=True, cache=True, inline="always")
def _move(head_D, relation_D, tail_D, difference_D, rate):  # noqa: ANN001, ANN202
    up, down, zero = np.float32(rate), np.float32(-rate), np.float32(0)
    for d in range(len(difference_D)):
        difference = difference_D[d]
        step = up if difference > zero else (down if difference < zero else zero)
        head_D[d] += step
        relation_D[d] += step
        tail_D[d] -= step

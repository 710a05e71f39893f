"""Triple classification: is a triple true? A threshold a relation, fitted on validation alone.

The task is of Socher et al. (2013, "Reasoning with neural tensor networks for knowledge base
completion", section 4.3) and was used for IKRL (Xie et al. 2017). No published negatives exist for
our graphs, so each triple gets one, made as in the re-implementation of IKRL by Mousselly-Sergieh
et al. (2018): its head or its tail gives way to an entity seen in that slot of that relation in
the same split. Ours: what this makes is never a known triple of any split; the choice is seeded;
and where models score a triple differently as a question for its head and for its tail
(reciprocal relations), the mean of the two scores counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.data.splits.names import TEST, VALIDATION
from mmkrl.data.views.graph import Graph
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.scorer import Scorer
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_scores
from mmkrl.evaluate.tasks.values import TaskValues

CLASSIFICATION = "triple classification"


_SLOTS = (0, 2)  # columns of heads and of tails


def classification_tasks(
    graph: Graph, scorer: Scorer, *, split: str = TEST, seed: int = 0
) -> dict[str, TaskValues]:
    """Accuracy over triples, and averaged over relations, by task name.

    Args:
        graph: The triples; thresholds are fitted on the validation triples.
        scorer: The model.
        split: Whose triples are classified.
        seed: Of the false triples.

    Raises:
        UserError: a split has no triples, or the model cannot score them.
    """
    known = KnownTriples.of(graph.known())
    fitted = _Pairs.of(graph, known, scorer, VALIDATION, seed)
    thresholds = Thresholds.fitted(fitted, len(graph.relations))
    pairs = _Pairs.of(graph, known, scorer, split, seed)
    threshold_N = thresholds.of(pairs.relation_N)
    right_N = ((pairs.true_N > threshold_N) * 1.0 + (pairs.false_N <= threshold_N)) / 2
    relation_R, index_N = np.unique(pairs.relation_N, return_inverse=True)
    right_R = np.bincount(index_N, weights=right_N) / np.bincount(index_N)
    definition = "a triple and one made false, told apart by thresholds fitted on validation"
    return {
        CLASSIFICATION: TaskValues(
            {"accuracy": right_N},
            pairs.triple_N,
            definition,
            len(graph.triples[split]),
            2,
            asked=pairs.triple_N,
        ),
        f"{CLASSIFICATION}, mean of relations": TaskValues(
            {"accuracy": right_R}, relation_R, f"{definition}; a row a relation", len(right_R), 2
        ),
    }


@dataclass(frozen=True)
class _Pairs:
    """True triples of a split and what each was made into, scored."""

    triple_N: IntArray  # positions in the split
    relation_N: IntArray
    true_N: FloatArray
    false_N: FloatArray

    @staticmethod
    def of(graph: Graph, known: KnownTriples, scorer: Scorer, split: str, seed: int) -> _Pairs:
        triple_N3 = graph.triples[split]
        if not len(triple_N3):
            raise UserError(f"the graph has no {split} triples: triples cannot be classified")
        false_N3 = false_triples(triple_N3, known, len(graph.entities), seed)
        kept_N = np.flatnonzero(false_N3[:, 0] >= 0)
        scores = (triple_scores(scorer, triples[kept_N]) for triples in (triple_N3, false_N3))
        return _Pairs(kept_N, triple_N3[kept_N, 1], *scores)


@dataclass(frozen=True)
class Thresholds:
    """The score above which a triple counts as true.

    Attributes:
        own_R: By relation; NaN for those without validation triples.
        shared: Of all relations together, for those that have none of their own.
    """

    own_R: FloatArray
    shared: float

    @staticmethod
    def fitted(pairs: _Pairs, relations: int) -> Thresholds:
        """The thresholds with the best accuracy on true and false triples."""
        own_R = np.full(relations, np.nan)
        for relation in np.unique(pairs.relation_N):
            rows = pairs.relation_N == relation
            own_R[relation] = best_threshold(pairs.true_N[rows], pairs.false_N[rows])
        return Thresholds(own_R, best_threshold(pairs.true_N, pairs.false_N))

    def of(self, relation_N: IntArray) -> FloatArray:
        """The threshold of each triple."""
        own_N = self.own_R[relation_N]
        return np.where(np.isnan(own_N), self.shared, own_N)


def best_threshold(true_N: FloatArray, false_N: FloatArray) -> float:
    """The threshold that most scores are on the right side of.

    Candidates are the midpoints between neighbouring scores, and minus and plus infinity (all or
    nothing is true); of equally good ones, the lowest.

    Args:
        true_N: Scores of true triples.
        false_N: Scores of false triples.
    """
    score_S, index_M = np.unique(np.concatenate([true_N, false_N]), return_inverse=True)
    gain_M = np.repeat([-1, 1], [len(true_N), len(false_N)])  # of a threshold above the score
    gain_S = np.bincount(index_M, weights=gain_M, minlength=len(score_S))
    # From minus infinity upwards: each true score that is passed is one more error, each false one
    # one less. The running sum has its first maximum at the lowest of the best thresholds.
    above_S1 = np.concatenate([[0], np.cumsum(gain_S)])
    midpoint_S1 = np.concatenate([[-np.inf], (score_S[:-1] + score_S[1:]) / 2, [np.inf]])
    return float(midpoint_S1[np.argmax(above_S1)])


def false_triples(triple_N3: IntArray, known: KnownTriples, entities: int, seed: int) -> IntArray:
    """One false triple beside each true one.

    Where no entity seen in the slot is left, any entity that makes no known triple will do, first
    in the same slot and then in the other one.

    Args:
        triple_N3: The true triples of one split.
        known: The triples of all splits, those of this one included.
        entities: How many entities there are.
        seed: Of the choice.

    Returns:
        Shape (N, 3); rows of -1 for triples of which every variant is known.
    """
    source = np.random.default_rng(seed)
    seen = {slot: _seen(triple_N3, slot) for slot in _SLOTS}
    everything = np.arange(entities)
    false_N3 = np.full_like(triple_N3, -1)
    for n, slot in enumerate(source.choice(_SLOTS, len(triple_N3)).tolist()):
        own = seen[slot][int(triple_N3[n, 1])]
        other = sum(_SLOTS) - slot
        for where, pool in ((slot, own), (slot, everything), (other, everything)):
            answers = _answers(known, triple_N3[n], where)
            allowed = np.setdiff1d(pool, answers, assume_unique=True)
            if len(allowed):
                false_N3[n] = triple_N3[n]
                false_N3[n, where] = source.choice(allowed)
                break
    return false_N3


def _seen(triple_N3: IntArray, slot: int) -> dict[int, IntArray]:
    """The different entities in one slot of each relation."""
    return {
        int(relation): np.unique(triple_N3[triple_N3[:, 1] == relation, slot])
        for relation in np.unique(triple_N3[:, 1])
    }


def _answers(known: KnownTriples, triple_3: IntArray, slot: int) -> IntArray:
    """The known entities in one slot, given the rest of a triple."""
    head, relation, tail = triple_3[:, None]
    others = known.heads_of(relation, tail) if slot == 0 else known.tails_of(head, relation)
    return others.entity_K[others.start_Q[0] : others.stop_Q[0]]

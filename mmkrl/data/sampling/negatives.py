"""Negative sampling: false triples to learn against, true ones with one part replaced.

Only triples of the training split count as true here: validation and test are not to be known.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmkrl.arrays import IntArray
from mmkrl.data.sampling.config import NegativesConfig
from mmkrl.errors import UserError
from mmkrl.kernels.corruption import Known, corrupt, draw_entities, known_answers, known_triples

_LARGEST_CODE = 2**63


class NegativeSampler:
    """Corrupts training triples.

    Args:
        train_N3: All training triples.
        entities: Number of entities.
        relations: Number of relations.
        config: What to draw.

    Raises:
        UserError: there is nothing to replace a part with, or too much to be numbered.
    """

    def __init__(
        self, train_N3: IntArray, entities: int, relations: int, config: NegativesConfig
    ) -> None:
        if entities**2 * relations >= _LARGEST_CODE:
            raise UserError(
                f"{entities} entities and {relations} relations make more possible triples than "
                "64 bits can number; split the graph"
            )
        if config.relations and relations < 2:
            raise UserError(
                f"negatives.relations = {config.relations}: the graph has a single "
                "relation, so none can replace it; set it to 0"
            )
        self._config = config
        self._known: Known = known_triples(train_N3, entities, relations)
        self._head_share_R = np.full(relations, 0.5)
        if config.kind == "bernoulli":
            self._head_share_R = bernoulli_shares(train_N3, relations)

    def corrupt(self, triple_B3: IntArray, seed: int) -> tuple[IntArray, npt.NDArray[np.int8]]:
        """Corruptions of each triple: what replaces a part, and which part.

        Args:
            triple_B3: Training triples.
            seed: Decides everything; the same whoever asks.

        Returns:
            Two arrays of shape (B, K), K = entities + relations of the configuration (relations
            alone where entities are shared): the replacement, and 0, 1 or 2 for head, relation or
            tail. A corruption that is a training triple is drawn again, up to 20 times.
        """
        entities = self._config.entities if self._config.shared_by == 1 else 0
        counts = (entities, self._config.relations)
        return corrupt(triple_B3, self._known, self._head_share_R, counts, seed)

    def pool(self, triple_B3: IntArray, seed: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
        """Entities that groups of ``shared_by`` triples share as corruptions.

        Args:
            triple_B3: Training triples, a multiple of ``shared_by``.
            seed: Decides everything.

        Returns:
            Entities for the heads and the tails of each group, shape (C, 2, K); and which of them
            make a training triple of a given one, and must not count, shape (B, 2, K).
        """
        groups = len(triple_B3) // self._config.shared_by
        shape = (groups, 2, self._config.entities)
        pool_C2K = draw_entities(shape, self._known.entities, seed)
        return pool_C2K, known_answers(triple_B3, pool_C2K, self._known)


def bernoulli_shares(train_N3: IntArray, relations: int) -> npt.NDArray[np.float64]:
    """Of every relation, the probability that the head is replaced, shape (R,).

    It is tph / (tph + hpt), with tph the mean number of tails of a head and hpt the mean number of
    heads of a tail (Wang et al., "Knowledge Graph Embedding by Translating on Hyperplanes", AAAI
    2014, section 3.2). A relation without triples has 0.5.

    Args:
        train_N3: Training triples.
        relations: Number of relations.
    """
    # Where a head has many tails, another tail makes a true triple (known or not) more often than
    # another head does, so the head is replaced more often.
    unique_N3 = np.unique(train_N3, axis=0)
    triples_R = np.bincount(unique_N3[:, 1], minlength=relations)
    heads_R, tails_R = (
        np.bincount(np.unique(unique_N3[:, (1, column)], axis=0)[:, 0], minlength=relations)
        for column in (0, 2)
    )
    tails_per_head_R = triples_R / np.maximum(heads_R, 1)
    heads_per_tail_R = triples_R / np.maximum(tails_R, 1)
    both_R = tails_per_head_R + heads_per_tail_R
    share_R = np.full(relations, 0.5)
    np.divide(tails_per_head_R, both_R, out=share_R, where=both_R > 0)
    return share_R

"""What models of triples have in common: tables, scores, losses, and a view for evaluation.

A model says what is known of an entity (its row), how two parts of a triple become a query, and
how an entity answers one. The losses here need nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmkrl.errors import UserError
from mmkrl.evaluate.exact.scorer import Metric
from mmkrl.kernels.columns import HEAD, RELATION, TAIL
from mmkrl.losses.triples import margin_hinge, nuclear_3_norm, one_vs_all, self_adversarial
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.scores import RowScorer, block_scores, pair_scores
from mmkrl.train.config import Bound
from mmkrl.train.learner import Batch

_ROWS = 4096  # entities whose rows are computed at once; those of IKRL take all their images


class TripleModel(nn.Module):
    """Base of all models of triples.

    Args:
        relations: Number of relations of the graph.
        config: Sizes and loss.
    """

    metric: Metric = "dot"
    entity: nn.Embedding
    relation: nn.Embedding

    def __init__(self, relations: int, config: TripleConfig) -> None:
        super().__init__()
        self.relations = relations
        self.config = config

    def add_tables(self, entities: int, *, relation_width: int | None = None) -> None:
        """Make the tables of entities and relations.

        Args:
            entities: Number of entities.
            relation_width: Numbers of a relation's vector; none means the entities'.
        """
        rows = self.relations * (2 if self.config.reciprocal else 1)
        width, sparse = self.config.dimension, self.config.sparse
        self.entity = nn.Embedding(entities, width, sparse=sparse)
        self.relation = nn.Embedding(rows, relation_width or width, sparse=sparse)

    def tables(self) -> tuple[nn.Embedding, nn.Embedding]:
        """The tables of entities and relations."""
        return self.entity, self.relation

    def entity_rows(self, entity_N: Tensor) -> Tensor:
        """What is known of some entities, shape (N, K)."""
        rows_NK: Tensor = self.tables()[0](entity_N)
        return rows_NK

    def relation_rows(self, relation_N: Tensor) -> Tensor:
        """The vectors of some relations."""
        rows_NK: Tensor = self.tables()[1](relation_N)
        return rows_NK

    def answers(self, row_NK: Tensor) -> Tensor:
        """Entities as answers of queries, shape (N, D)."""
        return row_NK

    def tail_query(self, head_NK: Tensor, relation_NK: Tensor) -> Tensor:
        """What a tail is compared with, shape (N, D)."""
        raise NotImplementedError

    def head_query(self, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """What a head is compared with, shape (N, D)."""
        raise NotImplementedError

    def triple_scores(self, head_NK: Tensor, relation_NK: Tensor, tail_NK: Tensor) -> Tensor:
        """The scores of triples, shape (N, S): a column for each that has a loss of its own."""
        query_ND = self.tail_query(head_NK, relation_NK)
        return pair_scores(self.metric, query_ND, self.answers(tail_NK))[:, None]

    def moduli(self, row_NK: Tensor) -> Tensor:
        """The moduli of a vector's elements, for the N3 norm."""
        return row_NK.abs()

    def bounds(self) -> dict[str, Bound]:
        """How parameters, by name, are held after each step."""
        return {}

    def forward(self, branch: str, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - the loop's
        """The named losses of one step; their sum is minimised.

        Args:
            branch: Which part learns; models with a single part ignore it.
            batch: As made by the learner: rows ``triple`` (B, 3) and, but against all entities,
                ``other`` and ``slot`` (B, K), the corruptions. Where corruptions are shared, also
                rows ``true`` (B, 2, P) and shared ``pool`` (C, 2, P).
        """
        if self.config.loss == "one_vs_all":
            return self._against_all(batch.rows["triple"])
        losses = self._against_corruptions(batch)
        if self.config.n3 and self.metric == "dot":
            triple_B3 = batch.rows["triple"]
            parts = [self.entity_rows(triple_B3[:, HEAD]), self.entity_rows(triple_B3[:, TAIL])]
            parts.append(self.relation_rows(triple_B3[:, RELATION]))
            losses["n3"] = self.config.n3 * nuclear_3_norm(*map(self.moduli, parts))
        return losses

    def _against_all(self, triple_B3: Tensor) -> dict[str, Tensor]:
        """Heads and tails among all entities; heads by the reciprocal relation."""
        head_B, relation_B, tail_B = triple_B3.unbind(dim=1)
        known_N, asked_N = torch.cat([head_B, tail_B]), torch.cat([tail_B, head_B])
        known_NK = self.entity_rows(known_N)
        relation_NK = self.relation_rows(torch.cat([relation_B, relation_B + self.relations]))
        query_ND = self.tail_query(known_NK, relation_NK)
        score_NE = self.among_all(query_ND, self.tables()[0].weight)
        losses = {"one_vs_all": one_vs_all(score_NE, asked_N)}
        if self.config.n3:
            parts = known_NK, relation_NK, self.entity_rows(asked_N)
            losses["n3"] = self.config.n3 * nuclear_3_norm(*map(self.moduli, parts))
        return losses

    def among_all(self, query_ND: Tensor, answer_ED: Tensor) -> Tensor:
        """Inner products with all entities, in the configured precision, shape (N, E)."""
        if self.config.precision == "bfloat16":
            query_ND, answer_ED = query_ND.bfloat16(), answer_ED.bfloat16()
        return query_ND @ answer_ED.T

    def _against_corruptions(self, batch: Batch) -> dict[str, Tensor]:
        triple_B3 = batch.rows["triple"]
        replaced_BK3 = corrupted(triple_B3, batch.rows["other"], batch.rows["slot"])
        flat_N3 = torch.cat([triple_B3[:, None], replaced_BK3], dim=1).reshape(-1, 3)
        score_NS = self._scores(flat_N3)
        score_BKS = score_NS.reshape(len(triple_B3), -1, score_NS.shape[1])
        true_BS, false_BKS = score_BKS[:, 0], score_BKS[:, 1:]
        counted_BK = None
        if "pool" in batch.shared:
            pooled_BP, counted_BK = self._pooled(batch, false_BKS)
            false_BKS = torch.cat([pooled_BP[:, :, None], false_BKS], dim=1)
        loss = torch.stack(
            [
                self._loss(true_BS[:, s], false_BKS[:, :, s], counted_BK)
                for s in range(true_BS.shape[1])
            ]
        ).sum()
        return {self.config.loss: loss}

    def _loss(self, true_B: Tensor, false_BK: Tensor, counted_BK: Tensor | None) -> Tensor:
        config = self.config
        if config.loss == "margin":
            return margin_hinge(true_B, false_BK, config.margin, counted_BK)
        return self_adversarial(
            true_B,
            false_BK,
            margin=config.margin,
            temperature=config.temperature,
            counted_BK=counted_BK,
        )

    def _scores(self, triple_N3: Tensor) -> Tensor:
        """Scores of triples; each entity's and relation's row is looked up once."""
        entity_U, entity_N2 = triple_N3[:, (HEAD, TAIL)].unique(return_inverse=True)
        relation_U, relation_N = triple_N3[:, RELATION].unique(return_inverse=True)
        entity_UK, relation_UK = self.entity_rows(entity_U), self.relation_rows(relation_U)
        head_NK, tail_NK = entity_UK[entity_N2[:, 0]], entity_UK[entity_N2[:, 1]]
        return self.triple_scores(head_NK, relation_UK[relation_N], tail_NK)

    def _pooled(self, batch: Batch, false_BKS: Tensor) -> tuple[Tensor, Tensor]:
        """Scores with the entities that each chunk shares, as matrix products, and which count."""
        triple_B3, size = batch.rows["triple"], self.config.negatives.shared_by
        if len(triple_B3) % size or batch.start % size:
            raise UserError(
                f"chunks of negatives.shared_by = {size} triples cannot be divided among the "
                "workers; make batch_size a multiple of both together"
            )
        first = batch.start // size
        pool_C2P = batch.shared["pool"][first : first + len(triple_B3) // size]
        entity_U, place_C2P = pool_C2P.unique(return_inverse=True)
        answer_C2PD = self.answers(self.entity_rows(entity_U))[place_C2P]
        head_BK, tail_BK = (self.entity_rows(triple_B3[:, slot]) for slot in (HEAD, TAIL))
        relation_BK = self.relation_rows(triple_B3[:, RELATION])
        queries = self.head_query(relation_BK, tail_BK), self.tail_query(head_BK, relation_BK)
        score_BP = torch.cat(
            [
                block_scores(
                    self.metric, query_BD.unflatten(0, (-1, size)), answer_C2PD[:, side]
                ).flatten(0, 1)
                for side, query_BD in enumerate(queries)
            ],
            dim=1,
        )
        others_BK = torch.ones_like(false_BKS[:, :, 0], dtype=torch.bool)
        return score_BP, torch.cat([~batch.rows["true"].flatten(1), others_BK], dim=1)

    @torch.no_grad()
    def every_row(self) -> Tensor:
        """What is known of all entities, shape (E, K)."""
        weight_ED = self.tables()[0].weight
        index_E = torch.arange(len(weight_ED), device=weight_ED.device)
        return torch.cat([self.entity_rows(part_N) for part_N in index_E.split(_ROWS)])

    @torch.no_grad()
    def scorer(self) -> RowScorer:
        """The model as it is now, for its evaluation."""
        row_EK = self.every_row()
        return RowScorer(self.metric, self.answers(row_EK), row_EK, self._ask_tail, self._ask_head)

    def _ask_tail(self, head_QK: Tensor, relation_Q: Tensor) -> Tensor:
        return self.tail_query(head_QK, self.relation_rows(relation_Q))

    def _ask_head(self, tail_QK: Tensor, relation_Q: Tensor) -> Tensor:
        if self.config.reciprocal:
            return self._ask_tail(tail_QK, relation_Q + self.relations)
        return self.head_query(self.relation_rows(relation_Q), tail_QK)


def corrupted(triple_B3: Tensor, other_BK: Tensor, slot_BK: Tensor) -> Tensor:
    """The corruptions as triples, shape (B, K, 3).

    Args:
        triple_B3: True triples.
        other_BK: What replaces a part of each.
        slot_BK: Which part: 0 head, 1 relation, 2 tail.
    """
    replaces_BK3 = slot_BK[:, :, None] == torch.arange(3, device=slot_BK.device)
    return torch.where(replaces_BK3, other_BK[:, :, None], triple_B3[:, None])

"""Base of knowledge graph embeddings (models of triples): tables, losses, queries and answers.

A model says what is known of an entity (its row), how two parts of a triple become a query, how an
entity answers one, and by which score the two are compared. The losses here need nothing else. What
a configuration must know of a model is said by its class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from mmkrl.config import Section
from mmkrl.data.views.entity_texts import EntityTexts
from mmkrl.data.views.graph import EntityImages, Graph
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.scores import Dot, GraphScore, graph_score
from mmkrl.kernels.columns import HEAD, RELATION, TAIL
from mmkrl.losses.triples import margin_hinge, nuclear_3_norm, one_vs_all, self_adversarial
from mmkrl.models.triples.config import WHOLE, TripleConfig
from mmkrl.models.triples.registry import GRAPH_MODELS
from mmkrl.train.config import Bound
from mmkrl.train.learner import Batch

_ROWS = 4096  # entities whose rows are computed at once; those of IKRL take all their images

Query: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From the rows of the known entities (Q, K) and relations (Q,) to query vectors (Q, D)."""
Measure: TypeAlias = Callable[["RowScorer"], dict[str, float]]
"""Metrics of a scorer on validation triples; ``mrr`` is to be maximised."""


@dataclass(frozen=True)
class GraphInputs:
    """What a model is made of: the sizes of a graph, and what is known of its entities.

    Attributes:
        entities: Number of entities.
        relations: Number of relations.
        images: The images of all entities; None for models that do not look at them.
        texts: What is written of all entities; None likewise.
    """

    entities: int
    relations: int
    images: EntityImages | None = None
    texts: EntityTexts | None = None

    def shapes(self) -> dict[str, Any]:
        """What :meth:`placeholders` needs to know, as plain values."""
        images, texts = self.images, self.texts
        return {
            "relations": self.relations,
            "images": None if images is None else images.feature_MD.shape[1],
            "texts": None
            if texts is None
            else [list(each.shape[1:]) for each in (texts.lexical_EVD, texts.semantic_EVW)],
        }

    @staticmethod
    def placeholders(shapes: dict[str, Any]) -> GraphInputs:
        """Inputs of the same shapes with a single entity, of which nothing is known."""
        images = texts = None
        if shapes["images"] is not None:
            nothing = np.zeros(0, np.int64)
            features = np.zeros((1, shapes["images"]), np.float16)
            images = EntityImages(np.zeros(2, np.int64), nothing, features)
        if shapes["texts"] is not None:
            texts = EntityTexts(*(torch.zeros(1, *shape) for shape in shapes["texts"]))
        return GraphInputs(1, shapes["relations"], images, texts)


class Stage(NamedTuple):
    """A phase of training, as a model asks for it.

    Attributes:
        name: What the metrics of this phase are called.
        epochs: Passes over the training triples.
        learning_rate: Peak.
        branch: Name of the submodule that learns; empty for the whole model.
    """

    name: str
    epochs: int
    learning_rate: float
    branch: str = ""


@dataclass(frozen=True)
class RowScorer:
    """A frozen model of triples: a table of what is known of each entity, and two kinds of query.

    Attributes:
        score: How queries and candidates are compared.
        candidate_ED: Every entity as an answer.
        row_EK: Every entity as a part of a query.
        ask_tail: Query for a tail, from rows of heads.
        ask_head: Query for a head, from rows of tails.
    """

    score: GraphScore
    candidate_ED: Tensor
    row_EK: Tensor
    ask_tail: Query
    ask_head: Query

    @torch.no_grad()
    def tail_query(self, head_Q: Tensor, relation_Q: Tensor) -> Tensor:
        """What a tail is compared with, shape (Q, D)."""
        return self.ask_tail(self.row_EK[head_Q], relation_Q)

    @torch.no_grad()
    def head_query(self, relation_Q: Tensor, tail_Q: Tensor) -> Tensor:
        """What a head is compared with, shape (Q, D)."""
        return self.ask_head(self.row_EK[tail_Q], relation_Q)


class TripleModel(nn.Module):
    """Base of all models of triples.

    A model of your own overrides :attr:`score`, :meth:`tail_query` and :meth:`head_query`, and
    makes its tables in its constructor. It is named in a configuration as ``python:MODULE:NAME``,
    or by the entry point of an installed package in the group ``mmkrl.models``.

    Class attributes, which the configuration asks for before anything is loaded:

    * ``score``: how queries and answers are compared;
    * ``takes_score``: whether the configuration may name another score;
    * ``complex_valued``: whether vectors hold real, then imaginary parts;
    * ``views``: the ways in which it can be asked, :data:`~mmkrl.models.triples.config.WHOLE`, all
      it has, being the first;
    * ``options``: the section its own settings are checked against, :meth:`own_options`.

    Args:
        inputs: Sizes of the graph, and what is known of its entities.
        config: Sizes and loss.
    """

    score: GraphScore = Dot()
    takes_score: ClassVar[bool] = False
    complex_valued: ClassVar[bool] = False
    views: ClassVar[tuple[str, ...]] = (WHOLE,)
    options: ClassVar[type[Section]] = Section
    entity: nn.Embedding
    relation: nn.Embedding

    def __init__(self, inputs: GraphInputs, config: TripleConfig) -> None:
        super().__init__()
        self.score = self.score_of(config)
        self.relations = inputs.relations
        self.input_shapes = inputs.shapes()
        self.config = config

    @classmethod
    def score_of(cls, config: TripleConfig) -> GraphScore:
        """The score of a model so configured."""
        return cls.score if config.score is None else graph_score(config.score)

    @classmethod
    def own_options(cls, config: TripleConfig) -> Any:
        """``options`` of the configuration as the class's own section."""
        return cls.options.model_validate(config.options)

    @classmethod
    def looks_at_images(cls, config: TripleConfig) -> bool:  # noqa: ARG003 - others do
        """Whether a model so configured learns from the entities' images."""
        return False

    @classmethod
    def lexical_dimension(cls, config: TripleConfig) -> int | None:  # noqa: ARG003 - others do
        """Length of the random projection of the texts' words; None if it looks at no texts."""
        return None

    @classmethod
    def problems(cls, config: TripleConfig) -> Iterator[str]:
        """What of a configuration does not fit the model, in words; what is told first, first."""
        if config.score is not None and not cls.takes_score:
            yield f"score = {config.score!r}: {config.model} has a score of its own; leave it out"
            return
        score = cls.score_of(config)
        if cls.complex_valued and config.dimension % 2:
            yield f"dimension = {config.dimension}: {config.model} needs an even number"
        if config.loss == "one_vs_all" and not score.inner_product:
            yield (
                "loss = 'one_vs_all' is for models whose score is an inner product, such as "
                f"distmult, complex and complex_text, not for {config.model}"
            )

    def stages(self) -> list[Stage]:
        """The phases of training; those without epochs are left out."""
        return [Stage("train", self.config.epochs, self.config.learning_rate)]

    def add_tables(self, entities: int, *, relation_width: int | None = None) -> None:
        """Make the tables of entities and relations.

        Args:
            entities: Number of entities.
            relation_width: Numbers of a relation's vector; None means the entities'.
        """
        rows = self.relations * (2 if self.config.reciprocal else 1)
        width, sparse = self.config.dimension, self.config.sparse
        self.entity = nn.Embedding(entities, width, sparse=sparse)
        self.relation = nn.Embedding(rows, relation_width or width, sparse=sparse)

    def tables(self) -> tuple[nn.Embedding, nn.Embedding]:
        """The tables of entities and relations."""
        return self.entity, self.relation

    def entity_rows(self, entity_N: Tensor) -> Tensor:
        """What is known of the given entities, shape (N, K)."""
        rows_NK: Tensor = self.tables()[0](entity_N)
        return rows_NK

    def relation_rows(self, relation_N: Tensor) -> Tensor:
        """The vectors of the given relations."""
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
        return self.score.pair(query_ND, self.answers(tail_NK))[:, None]

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
        if self.config.n3 and self.score.inner_product:
            triple_B3 = batch.rows["triple"]
            parts = [self.entity_rows(triple_B3[:, HEAD]), self.entity_rows(triple_B3[:, TAIL])]
            parts.append(self.relation_rows(triple_B3[:, RELATION]))
            losses["n3"] = self.config.n3 * nuclear_3_norm(*map(self.moduli, parts))
        return losses

    def _against_all(self, triple_B3: Tensor) -> dict[str, Tensor]:
        """1vsAll: heads and tails among all entities; heads by the reciprocal relation."""
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
        # A corruption shares two parts with its triple, and entities recur within a batch; a row
        # may cost as much as projecting all images of its entity.
        entity_U, entity_N2 = triple_N3[:, (HEAD, TAIL)].unique(return_inverse=True)
        relation_U, relation_N = triple_N3[:, RELATION].unique(return_inverse=True)
        entity_UK, relation_UK = self.entity_rows(entity_U), self.relation_rows(relation_U)
        head_NK, tail_NK = entity_UK[entity_N2[:, 0]], entity_UK[entity_N2[:, 1]]
        return self.triple_scores(head_NK, relation_UK[relation_N], tail_NK)

    def _pooled(self, batch: Batch, false_BKS: Tensor) -> tuple[Tensor, Tensor]:
        """Scores with the corruptions that ``shared_by`` triples share, and which of them count."""
        triple_B3, size = batch.rows["triple"], self.config.negatives.shared_by
        if len(triple_B3) % size or batch.start % size:
            raise UserError(
                f"chunks of negatives.shared_by = {size} triples cannot be divided among the "
                "workers; make batch_size a multiple of both together"
            )
        first = batch.start // size
        pool_C2P = batch.shared["pool"][first : first + len(triple_B3) // size]
        entity_U, index_C2P = pool_C2P.unique(return_inverse=True)
        answer_C2PD = self.answers(self.entity_rows(entity_U))[index_C2P]
        head_BK, tail_BK = (self.entity_rows(triple_B3[:, slot]) for slot in (HEAD, TAIL))
        relation_BK = self.relation_rows(triple_B3[:, RELATION])
        queries = self.head_query(relation_BK, tail_BK), self.tail_query(head_BK, relation_BK)
        score_BP = torch.cat(
            [
                self.score.block(query_BD.unflatten(0, (-1, size)), answer_C2PD[:, side]).flatten(
                    0, 1
                )
                for side, query_BD in enumerate(queries)
            ],
            dim=1,
        )
        # What is drawn for a triple alone is drawn again if it is a known triple; a shared one may
        # be true for some of the triples that share it, and then costs them nothing.
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
        """The model as it is now, by all it has, for its evaluation."""
        row_EK = self.every_row()
        return RowScorer(self.score, self.answers(row_EK), row_EK, self._ask_tail, self._ask_head)

    def view(self, name: str, measure: Measure) -> RowScorer:  # noqa: ARG002 - others choose by it
        """The model in one of the class's ``views``.

        Args:
            name: Which.
            measure: What a view with a weight chooses it by.
        """
        assert name == WHOLE
        return self.scorer()

    def choose(self, measure: Measure) -> dict[str, float]:
        """The metrics on validation triples, after choosing what is chosen there; kept in buffers.

        Args:
            measure: Measures a scorer.
        """
        return measure(self.scorer())

    def served_tables(self) -> tuple[Tensor, Tensor]:
        """Every entity as a part of a query and as an answer, shapes (E, K) and (E, D).

        Together with :meth:`tail_query` and :meth:`head_query` they give the scores of
        :meth:`scorer` without what the model was made of.
        """
        scorer = self.scorer()
        return scorer.row_EK, scorer.candidate_ED

    def _ask_tail(self, head_QK: Tensor, relation_Q: Tensor) -> Tensor:
        return self.tail_query(head_QK, self.relation_rows(relation_Q))

    def _ask_head(self, tail_QK: Tensor, relation_Q: Tensor) -> Tensor:
        if self.config.reciprocal:
            return self._ask_tail(tail_QK, relation_Q + self.relations)
        return self.head_query(self.relation_rows(relation_Q), tail_QK)


def make_model(
    graph: Graph,
    config: TripleConfig,
    images: EntityImages | None = None,
    texts: EntityTexts | None = None,
) -> TripleModel:
    """A model with freshly drawn weights.

    Args:
        graph: The graph.
        config: Which model, and its sizes.
        images: The entities' images; only models that look at them take them.
        texts: The entities' texts; likewise.

    Raises:
        UserError: a model without the images or texts that it learns from.
    """
    if config.pictured and images is None:
        raise UserError(
            f"model = {config.model!r} learns from images: extract features of the graph's images"
        )
    if config.lexical is not None and texts is None:
        raise UserError(f"model = {config.model!r} learns from texts: the graph must have some")
    inputs = GraphInputs(
        len(graph.entities),
        len(graph.relations),
        images if config.pictured else None,
        texts if config.lexical is not None else None,
    )
    model: TripleModel = GRAPH_MODELS.get(config.model)(inputs, config)
    return model


def corrupted(triple_B3: Tensor, other_BK: Tensor, slot_BK: Tensor) -> Tensor:
    """The corruptions as triples, shape (B, K, 3).

    Args:
        triple_B3: True triples.
        other_BK: What replaces a part of each.
        slot_BK: Which part: 0 head, 1 relation, 2 tail.
    """
    replaces_BK3 = slot_BK[:, :, None] == torch.arange(3, device=slot_BK.device)
    return torch.where(replaces_BK3, other_BK[:, :, None], triple_B3[:, None])


def best_weight(
    weights: Sequence[float], scorer_of: Callable[[float], RowScorer], measure: Measure
) -> tuple[float, dict[str, float]]:
    """The weight with the best validation MRR, the smallest of equals, and its metrics.

    Args:
        weights: To choose among, ascending.
        scorer_of: A model with a weight.
        measure: Measures it.
    """
    found = {weight: measure(scorer_of(weight)) for weight in weights}
    # max() keeps the first of equals, and weights ascend.
    best = max(found, key=lambda weight: found[weight]["mrr"])
    return best, found[best]

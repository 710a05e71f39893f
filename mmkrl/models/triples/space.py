"""A trained model of triples, loaded from one folder: score triples, find heads and tails by name.

The folder holds tables of what a model knows of every entity and relation, and nothing of the
images or texts that it learned from. Scores are those of the model's evaluation, of all it has.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmkrl.arrays import IntArray
from mmkrl.config import check
from mmkrl.data.splits.names import TRAIN, VALIDATION
from mmkrl.data.views.graph import Graph
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.triple_filter import KnownTriples
from mmkrl.evaluate.exact.triple_ranks import triple_scores
from mmkrl.models.triples.base import GraphInputs, RowScorer, TripleModel
from mmkrl.models.triples.config import TripleConfig
from mmkrl.models.triples.registry import GRAPH_MODELS
from mmkrl.spaces.linking import Triple
from mmkrl.spaces.space import (
    Answer,
    QueryOptions,
    Reply,
    Row,
    Space,
    Task,
    read_description,
)

_TABLES = "tables.safetensors"
_HEAD, _TAIL = 0, 2
_CHUNK = 8192  # entities scored at once
_SUGGESTED = 3


class TripleSpace(Space):
    """What a trained model says of the entities and relations of its graph.

    Args:
        description: Configuration, names, and the shapes of what the model was made of.
        tables: ``row`` (E, K), what is known of every entity; ``answer`` (E, D), every entity as an
            answer, where that differs; ``relation``, a row each, and one for its reciprocal if the
            model has any; ``known`` (N, 3), the triples of training and validation.
    """

    kind = "triples"
    columns = {"head": "string", "relation": "string", "tail": "string"}  # noqa: RUF012 - a ClassVar

    def __init__(self, description: dict[str, Any], tables: dict[str, Tensor]) -> None:
        self._description, self._tables = description, tables
        self._names: dict[str, list[str]] = {k: description[k] for k in ("entity", "relation")}
        self._index = {
            kind: {name: index for index, name in enumerate(names)}
            for kind, names in self._names.items()
        }
        self._known = KnownTriples.of(tables["known"].numpy())
        self._scorer = self._make_scorer()

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What it can be asked.

        * ``score_triples``: how plausible ``head``, ``relation``, ``tail`` are;
        * ``predict_tails``: the best tails for ``head`` and ``relation``;
        * ``predict_heads``: the best heads for ``relation`` and ``tail``.
        """
        return {
            "score_triples": Task(("head", "relation", "tail"), self._scored),
            "predict_tails": Task(("head", "relation"), self._tails),
            "predict_heads": Task(("relation", "tail"), self._heads),
        }

    @property
    def example(self) -> Mapping[str, Any]:
        """The first triple that the graph states, without its tail."""
        head, relation, _ = self._tables["known"][0].tolist()
        entities, relations = self._names["entity"], self._names["relation"]
        named = {"head": entities[head], "relation": relations[relation]}
        return {"task": "predict_tails", **named}

    @classmethod
    def of(cls, model: TripleModel, graph: Graph) -> TripleSpace:
        """The space of a trained model.

        Args:
            model: Trained.
            graph: The graph it was trained on.
        """
        row_EK, answer_ED = model.eval().served_tables()
        every = torch.arange(len(model.tables()[1].weight), device=answer_ED.device)
        known = np.concatenate([graph.triples[split] for split in (TRAIN, VALIDATION)])
        tables = {
            "row": row_EK,
            "relation": model.relation_rows(every).detach(),
            "known": torch.from_numpy(known.astype(np.int32)),
        }
        if not torch.equal(answer_ED, row_EK):
            tables["answer"] = answer_ED
        description = {
            "config": model.config.model_dump(mode="json"),
            "entity": graph.entities,
            "relation": graph.relations,
            "inputs": model.input_shapes,
        }
        return cls(description, {k: v.cpu().contiguous() for k, v in tables.items()})

    def score(self, triples: Sequence[Triple]) -> list[float]:
        """How plausible triples are; only scores of the same relation compare well.

        Raises:
            UserError: a name that the graph does not have.
        """
        rows = [
            [
                self._position("entity", h),
                self._position("relation", r),
                self._position("entity", t),
            ]
            for h, r, t in triples
        ]
        triple_N3 = np.array(rows, np.int64).reshape(-1, 3)
        scores: list[float] = triple_scores(self._scorer, triple_N3).tolist()
        return scores

    def tails(self, head: str, relation: str, count: int, *, new: bool = False) -> list[Answer]:
        """The best tails.

        Args:
            head: Name of an entity.
            relation: Name of a relation.
            count: How many.
            new: Leave out those that the graph states (its training and validation triples).

        Raises:
            UserError: a name that the graph does not have.
        """
        pair = self._position("entity", head), self._position("relation", relation)
        return self._best(_TAIL, pair, count, new=new)

    def heads(self, relation: str, tail: str, count: int, *, new: bool = False) -> list[Answer]:
        """The best heads; see :meth:`tails`."""
        pair = self._position("relation", relation), self._position("entity", tail)
        return self._best(_HEAD, pair, count, new=new)

    def save(self, folder: Path) -> None:
        """Write the space into a folder: safetensors and JSON only."""
        self._describe(folder, self._description)
        save_file(self._tables, folder / _TABLES)

    @classmethod
    def load(cls, folder: Path) -> TripleSpace:
        """Read a space that :meth:`save` wrote; nothing in it is executed."""
        return cls(read_description(folder), load_file(folder / _TABLES))

    def _scored(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        del options
        scores = self.score([(head, relation, tail) for head, relation, tail in rows])
        return [Reply(answers=[Answer("", score)]) for score in scores]

    def _tails(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        found = (self.tails(h, r, options.count, new=options.new) for h, r in rows)
        return [Reply(answers=answers) for answers in found]

    def _heads(self, rows: Sequence[Row], options: QueryOptions) -> list[Reply]:
        found = (self.heads(r, t, options.count, new=options.new) for r, t in rows)
        return [Reply(answers=answers) for answers in found]

    @torch.inference_mode()
    def _best(self, side: int, pair: tuple[int, int], count: int, *, new: bool) -> list[Answer]:
        left_1, right_1 = (torch.tensor([index]) for index in pair)
        ask = self._scorer.head_query if side == _HEAD else self._scorer.tail_query
        query_1ND = ask(left_1, right_1)[None]
        parts = self._scorer.candidate_ED.split(_CHUNK)
        score = self._scorer.score
        score_E = torch.cat([score.block(query_1ND, part[None])[0, 0] for part in parts])
        score_E = score.comparable(score_E)
        if new:
            score_E[torch.from_numpy(self._stated(side, pair))] = -torch.inf
        best = torch.topk(score_E, min(count, len(score_E)))
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        names = self._names["entity"]
        return [Answer(names[index], score) for index, score in found if score > -np.inf]

    def _stated(self, side: int, pair: tuple[int, int]) -> IntArray:
        """The answers that the graph has already."""
        left_1, right_1 = (np.array([index]) for index in pair)
        known = self._known
        others = (
            known.heads_of(left_1, right_1) if side == _HEAD else known.tails_of(left_1, right_1)
        )
        return others.entity_K[others.start_Q[0] : others.stop_Q[0]]

    def _position(self, kind: str, name: str) -> int:
        index = self._index[kind].get(name)
        if index is None:
            near = difflib.get_close_matches(name, self._names[kind], n=_SUGGESTED)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UserError(f"the graph has no {kind} called {name!r}{hint}")
        return index

    def _make_scorer(self) -> RowScorer:
        tables = self._tables
        relation_RK, relations = tables["relation"], len(self._names["relation"])
        model = _asking(self._description)
        reciprocal = model.config.reciprocal

        def ask_tail(head_QK: Tensor, relation_Q: Tensor) -> Tensor:
            return model.tail_query(head_QK, relation_RK[relation_Q])

        def ask_head(tail_QK: Tensor, relation_Q: Tensor) -> Tensor:
            if reciprocal:
                return ask_tail(tail_QK, relation_Q + relations)
            return model.head_query(relation_RK[relation_Q], tail_QK)

        row_EK = tables["row"]
        return RowScorer(model.score, tables.get("answer", row_EK), row_EK, ask_tail, ask_head)


def _asking(description: dict[str, Any]) -> TripleModel:
    """A model of one entity, whose queries depend on what they are asked with alone."""
    config = check(description["config"], TripleConfig)
    inputs = GraphInputs.placeholders(description["inputs"])
    model: TripleModel = GRAPH_MODELS.get(config.model)(inputs, config)
    return model

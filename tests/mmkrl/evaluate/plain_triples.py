"""A model of triples, and its ranks by loops that anyone can check."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmkrl.evaluate.exact.scores import graph_score

METRICS = ("l1", "l2", "modulus", "dot", "order")


@dataclass(frozen=True)
class Vectors:
    """Heads are moved (or, for inner products, scaled) by their relation."""

    metric: str
    entity_ED: Tensor
    relation_RD: Tensor

    @property
    def score(self):
        return graph_score(self.metric)

    @property
    def candidate_ED(self):
        return self.entity_ED

    def tail_query(self, head_Q, relation_Q):
        head_QD, relation_QD = self.entity_ED[head_Q], self.relation_RD[relation_Q]
        return head_QD * relation_QD if self.metric == "dot" else head_QD + relation_QD

    def head_query(self, relation_Q, tail_Q):
        tail_QD, relation_QD = self.entity_ED[tail_Q], self.relation_RD[relation_Q]
        return tail_QD * relation_QD if self.metric == "dot" else tail_QD - relation_QD


def random_vectors(metric, *, entities, relations, width, seed=0, whole=False):
    """Vectors of whole numbers have many ties, as sums of them are exact."""
    generator = torch.Generator().manual_seed(seed)

    def table(rows):
        if whole:
            return torch.randint(-1, 2, (rows, width), generator=generator).float()
        return torch.randn(rows, width, generator=generator)

    return Vectors(metric, table(entities), table(relations))


def random_triples(*, entities, relations, count, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, (entities, relations, entities), (count, 3))


def plain_score(metric, query, candidate):
    total, half = 0.0, len(query) // 2
    if metric == "modulus":
        for d in range(half):
            real, imaginary = query[d] - candidate[d], query[half + d] - candidate[half + d]
            total -= math.sqrt(real * real + imaginary * imaginary)
        return total
    for q, c in zip(query, candidate, strict=True):
        if metric == "dot":
            total += q * c
        elif metric == "l1":
            total -= abs(q - c)
        elif metric == "order":
            total -= max(c - q, 0.0) * max(c - q, 0.0)
        else:
            total -= (q - c) * (q - c)
    return total


def plain_rank(metric, query, candidates, answer, left_out):
    """1 + better ones + half of the tied ones, among the candidates that are not left out."""
    scores = [plain_score(metric, query, candidate) for candidate in candidates]
    rank = 1.0
    for entity, score in enumerate(scores):
        if entity != answer and entity not in left_out:
            rank += 1.0 if score > scores[answer] else 0.5 if score == scores[answer] else 0.0
    return rank


def plain_ranks(scorer, triples, known):
    """Rows: head raw, head filtered, tail raw, tail filtered."""
    candidates = scorer.candidate_ED.tolist()
    known = {tuple(map(int, triple)) for triple in known}
    columns = []
    for h, r, t in ((int(h), int(r), int(t)) for h, r, t in triples):
        one = lambda value: torch.tensor([value])  # noqa: E731
        head_query = scorer.head_query(one(r), one(t))[0].tolist()
        tail_query = scorer.tail_query(one(h), one(r))[0].tolist()
        heads = {e for e, relation, tail in known if (relation, tail) == (r, t)}
        tails = {e for head, relation, e in known if (head, relation) == (h, r)}
        columns.append(
            [
                plain_rank(scorer.metric, query, candidates, answer, left_out)
                for query, answer, others in ((head_query, h, heads), (tail_query, t, tails))
                for left_out in (set(), others)
            ]
        )
    return np.array(columns).reshape(-1, 4).T


def as_rows(ranks):
    sides = (ranks.head, ranks.tail)
    return np.array([row for side in sides for row in (side.raw_N, side.filtered_N)])

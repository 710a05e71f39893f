"""What a user writes to add a graph score, and a graph model with a setting of its own."""

from __future__ import annotations

import torch
from pydantic import Field

from mmkrl.config import Section
from mmkrl.evaluate.exact.scores import GraphScore
from mmkrl.models.triples.base import TripleModel


class Soft(GraphScore):
    """Minus the sum of log cosh of the differences: square near zero, absolute far away."""

    def pair(self, query_ND, answer_ND):
        return -torch.cosh(query_ND - answer_ND).log().sum(dim=-1)


class Unsummed(GraphScore):
    """Forgets the sum."""

    def pair(self, query_ND, answer_ND):
        return -(query_ND - answer_ND).abs()


class ScaledOptions(Section):
    """Settings of :class:`Scaled`."""

    start: float = Field(default=0.5, gt=0)
    """Standard deviation of the vectors at first."""


class Scaled(TripleModel):
    """Relations stretch and move heads; compared by a score that nobody else has."""

    score = Soft()
    views = ("all", "moved")
    options = ScaledOptions

    def __init__(self, inputs, config):
        super().__init__(inputs, config)
        self.add_tables(inputs.entities, relation_width=2 * config.dimension)
        deviation = self.own_options(config).start
        for table in (self.entity, self.relation):
            torch.nn.init.normal_(table.weight, std=deviation)

    def tail_query(self, head_NK, relation_NK):
        scale_NK, move_NK = relation_NK.chunk(2, dim=-1)
        return head_NK * scale_NK.exp() + move_NK

    def head_query(self, relation_NK, tail_NK):
        scale_NK, move_NK = relation_NK.chunk(2, dim=-1)
        return tail_NK * scale_NK.exp() - move_NK

    def view(self, name, measure):
        assert name in self.views
        return self.scorer()

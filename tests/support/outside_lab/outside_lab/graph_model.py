"""A graph model with a score of its own: relations move heads, and differences count softly."""

import torch

from mmkrl.evaluate.exact.scores import GraphScore
from mmkrl.models.triples.base import TripleModel


class Soft(GraphScore):
    """Minus the sum of log cosh of the differences: square near zero, absolute far away."""

    def pair(self, query_ND, answer_ND):
        return -torch.cosh(query_ND - answer_ND).log().sum(dim=-1)


class Moved(TripleModel):
    """Translation, compared by :class:`Soft`."""

    score = Soft()

    def __init__(self, inputs, config):
        super().__init__(inputs, config)
        self.add_tables(inputs.entities)
        for table in (self.entity, self.relation):
            torch.nn.init.normal_(table.weight, std=0.5)

    def tail_query(self, head_NK, relation_NK):
        return head_NK + relation_NK

    def head_query(self, relation_NK, tail_NK):
        return tail_NK - relation_NK

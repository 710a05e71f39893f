"""Graph scores: how plausible an answer is to a query, for training, ranking and serving alike.

A model makes a query of two parts of a triple; its score compares the query with entities as
answers. What is known of a score stands in one object. Three of its faces order answers alike, and
need not be equal:

* :meth:`GraphScore.pair`, in torch, which training differentiates;
* :meth:`GraphScore.exact`, in float64 and always summed in one order: what ranks, thresholds and
  scores of triples are made of. Equal vectors tie, whatever else is compared;
* :meth:`GraphScore.fast`, for many candidates in float32, with the bounds within which it settles
  nothing. It makes ranking two orders of magnitude faster and decides no rank by itself.

For Euclidean distances these are minus the distance, minus its square, and q.c - |c|^2 / 2.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mmkrl.arrays import FloatArray, IntArray
from mmkrl.errors import UserError
from mmkrl.evaluate.exact.rounding import interval, lengths, product_error, sum_error
from mmkrl.kernels import pair_scores
from mmkrl.kernels.block_scores import l1_scores, modulus_scores, order_scores
from mmkrl.plugins import Registry

Bounds = tuple[npt.NDArray[Any], npt.NDArray[Any]]

_PAIRS = 1 << 16
"""Pairs that are copied from a device at once."""
_NUMBERS = 1 << 14
"""Numbers of a batch of pairs: torch computes so few in one thread, all rows alike."""
_LANES = 32
"""Compiled loops over differences are fastest for whole multiples of this."""


class GraphScore:
    """How queries and answers are compared; a larger score is more plausible.

    A score of your own needs :meth:`pair` alone: everything else has a default in plain torch. Rows
    must be scored independently of each other, element by element and with sums over the last axis,
    so that a pair has the same score wherever it stands. A score has no weights; those belong into
    the model's queries and answers. It is named in a configuration as ``python:MODULE:NAME``, or by
    the entry point of an installed package in the group ``mmkrl.scores``.

    Attributes:
        inner_product: It is the inner product, so that the loss against all entities and its norm
            apply to models that score by it.
        kernel: Number of the compiled loop of :mod:`mmkrl.kernels.pair_scores` that computes
            :meth:`exact` on CPUs; None if there is none.
    """

    inner_product: ClassVar[bool] = False
    kernel: ClassVar[int | None] = None

    def pair(self, query_ND: Tensor, answer_ND: Tensor) -> Tensor:
        """The score of each query with its answer, over the last axis; others broadcast.

        Args:
            query_ND: Queries, in any precision.
            answer_ND: One answer each.
        """
        raise NotImplementedError

    def block(self, query_CND: Tensor, answer_CKD: Tensor) -> Tensor:
        """The scores of all queries of a block with all its answers, shape (C, N, K).

        The default holds C x N x K x D numbers.

        Args:
            query_CND: Queries by block.
            answer_CKD: Answers by block.
        """
        return self.pair(query_CND[:, :, None], answer_CKD[:, None])

    def comparable(self, score: Tensor) -> Tensor:
        """What evaluations compare, from scores of :meth:`pair`: as large where they are larger."""
        return score

    def swapped(self, query_ND: Tensor, answer_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Answers as queries and queries as answers, of the same scores.

        The default is for symmetric scores.
        """
        return answer_ND, query_ND

    def exact(
        self, query_UD: Tensor, candidate_ED: Tensor, row_Q: IntArray, candidate_Q: IntArray
    ) -> FloatArray:
        """The exact scores of chosen pairs, shape (Q,): the same wherever the vectors are.

        Args:
            query_UD: float32.
            candidate_ED: float32, on the same device.
            row_Q: The query of each pair.
            candidate_Q: The candidate of each pair.

        Raises:
            UserError: :meth:`pair` does not give one score a pair.
        """
        if query_UD.device.type == "cpu" and self.kernel is not None:
            arrays = query_UD.numpy(), candidate_ED.numpy()
            return pair_scores.pair_scores(self.kernel, *arrays, row_Q, candidate_Q)
        score_Q, size = np.empty(len(row_Q)), self._batch_size(query_UD.shape[1])
        for start in range(0, len(row_Q), size):
            stop = min(start + size, len(row_Q))
            query_PD = query_UD[torch.from_numpy(row_Q[start:stop]).to(query_UD.device)].cpu()
            chosen = torch.from_numpy(candidate_Q[start:stop]).to(query_UD.device)
            score_Q[start:stop] = self._exact_rows(query_PD, candidate_ED[chosen].cpu(), size)
        return score_Q

    def _batch_size(self, width: int) -> int:
        return _PAIRS if self.kernel is not None else max(1, _NUMBERS // max(1, width))

    def _exact_rows(self, query_PD: Tensor, answer_PD: Tensor, size: int) -> FloatArray:
        if self.kernel is not None:
            row_P = np.arange(len(query_PD))
            arrays = query_PD.numpy(), answer_PD.numpy()
            return pair_scores.pair_scores(self.kernel, *arrays, row_P, row_P)
        # Batches of one shape, the last one filled up: how torch takes a sum, or computes a root in
        # the last lanes of a register, depends on the shape, and equal vectors must tie.
        pad = (0, 0, 0, size - len(query_PD))
        both = (F.pad(each_PD.double(), pad) for each_PD in (query_PD, answer_PD))
        score_P = self.pair(*both)
        if score_P.shape != (size,):
            raise UserError(
                f"the graph score {type(self).__name__} gives shape {tuple(score_P.shape)} for "
                f"{size} pairs: pair() must return one score a pair, summed over the last axis"
            )
        exact_P: FloatArray = self.comparable(score_P)[: len(query_PD)].numpy()
        return exact_P

    def fast(self, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
        """Scores of a block of candidates for every query, shape (U, B).

        The default are the exact ones. Override it together with :meth:`bounds`.

        Args:
            query_UD: float32.
            candidate_BD: float32, on the same device.
        """
        shape = len(query_UD), len(candidate_BD)
        row_Q, candidate_Q = (each.reshape(-1) for each in np.indices(shape))
        score_Q = self.exact(query_UD, candidate_BD, row_Q, candidate_Q)
        return torch.from_numpy(score_Q.reshape(shape)).to(query_UD.device)

    def bounds(
        self,
        length_Q: FloatArray,  # noqa: ARG002 - others need it
        candidate_BD: Tensor,  # noqa: ARG002 - likewise
        score_Q: FloatArray,
    ) -> Bounds:
        """Below the first a fast score is of a worse candidate, above the second of a better one.

        Args:
            length_Q: The Euclidean length of the query of each score.
            candidate_BD: The candidates whose fast scores are judged, float32.
            score_Q: Exact scores.

        Returns:
            Two arrays of shape (Q,): lower and upper bound.
        """
        return score_Q, score_Q


class Dot(GraphScore):
    """The inner product."""

    inner_product = True
    kernel = pair_scores.DOT

    def pair(self, query_ND: Tensor, answer_ND: Tensor) -> Tensor:
        """The sum of products."""
        return (query_ND * answer_ND).sum(dim=-1)

    def block(self, query_CND: Tensor, answer_CKD: Tensor) -> Tensor:
        """Matrix products."""
        return query_CND @ answer_CKD.mT

    def fast(self, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
        """A matrix product."""
        return query_UD @ candidate_BD.T

    def bounds(self, length_Q: FloatArray, candidate_BD: Tensor, score_Q: FloatArray) -> Bounds:
        """Those of a matrix product."""
        longest = lengths(candidate_BD).max()
        return interval(score_Q, product_error(candidate_BD.shape[1], length_Q, longest))


class L2(GraphScore):
    """Minus the Euclidean distance; evaluations compare minus its square."""

    kernel = pair_scores.L2

    def pair(self, query_ND: Tensor, answer_ND: Tensor) -> Tensor:
        """Minus the length of the difference."""
        length_N: Tensor = (query_ND - answer_ND).norm(dim=-1)
        return -length_N

    def block(self, query_CND: Tensor, answer_CKD: Tensor) -> Tensor:
        """Minus all distances."""
        return -torch.cdist(query_CND, answer_CKD, p=2.0)

    def comparable(self, score: Tensor) -> Tensor:
        """Minus the square of the distance: the sum that needs no root."""
        return -score.square()

    def fast(self, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
        """q.c - |c|^2 / 2 by a matrix product: (|q|^2 - |q - c|^2) / 2 less the query's share."""
        # |q|^2 is the same for all candidates of a query and orders none of them. |c|^2 is summed
        # in float64: it enters every query's score.
        half_B = (candidate_BD.double().square().sum(dim=1) / 2).float()
        return torch.addmm(-half_B, query_UD, candidate_BD.T)

    def bounds(self, length_Q: FloatArray, candidate_BD: Tensor, score_Q: FloatArray) -> Bounds:
        """Those of the product and of the squared length, about (score + |q|^2) / 2."""
        # |c|^2 is an inner product as well, of a candidate with itself: longest * longest at most.
        width, longest = candidate_BD.shape[1], lengths(candidate_BD).max()
        error_Q = product_error(width, length_Q, longest) + product_error(width, longest, longest)
        return interval((score_Q + length_Q**2) / 2, error_Q)


class _Summed(GraphScore):
    """Minus a sum of terms that are not negative, by a compiled loop on CPUs."""

    _loop: ClassVar[staticmethod[[Any, Any, Any], None]]
    _padded: ClassVar[bool] = True

    def fast(self, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
        """The sum in float32, in any order."""
        if query_UD.device.type != "cpu":
            return self._on_device(query_UD, candidate_BD)
        if self._padded:  # zeros on both sides add nothing
            padding = (0, -query_UD.shape[1] % _LANES)
            query_UD, candidate_BD = F.pad(query_UD, padding), F.pad(candidate_BD, padding)
        score_UB = torch.empty(len(query_UD), len(candidate_BD))
        type(self)._loop(query_UD.numpy(), candidate_BD.numpy(), score_UB.numpy())
        return score_UB

    def _on_device(self, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
        raise NotImplementedError

    def bounds(self, length_Q: FloatArray, candidate_BD: Tensor, score_Q: FloatArray) -> Bounds:  # noqa: ARG002
        """Those of a sum of terms of one sign."""
        return interval(score_Q, sum_error(candidate_BD.shape[1], score_Q))


class L1(_Summed):
    """Minus the sum of absolute differences."""

    kernel = pair_scores.L1
    _loop = staticmethod(l1_scores)

    def pair(self, query_ND: Tensor, answer_ND: Tensor) -> Tensor:
        """Minus the L1 length of the difference."""
        return -(query_ND - answer_ND).abs().sum(dim=-1)

    def block(self, query_CND: Tensor, answer_CKD: Tensor) -> Tensor:
        """Minus all distances."""
        return -torch.cdist(query_CND, answer_CKD, p=1.0)

    def _on_device(self, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
        return -torch.cdist(query_UD, candidate_BD, p=1)


class Modulus(_Summed):
    """Minus the sum of the moduli of complex differences.

    A vector holds all real parts, then all imaginary ones.
    """

    kernel = pair_scores.MODULUS
    _loop = staticmethod(modulus_scores)
    _padded = False  # it would part the real from the imaginary halves

    def pair(self, query_ND: Tensor, answer_ND: Tensor) -> Tensor:
        """Minus the sum of the moduli of the difference."""
        return -modulus(query_ND - answer_ND).sum(dim=-1)

    def _on_device(self, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
        """Dimension by dimension: nothing larger than the result is held."""
        half = query_UD.shape[1] // 2
        score_UB = query_UD.new_zeros(len(query_UD), len(candidate_BD))
        for d in range(half):
            real_UB = query_UD[:, d, None] - candidate_BD[:, d]
            imaginary_UB = query_UD[:, half + d, None] - candidate_BD[:, half + d]
            score_UB -= (real_UB.square() + imaginary_UB.square()).sqrt()
        return score_UB


class Order(_Summed):
    """Minus the sum of the squares by which the answer exceeds the query.

    The order violation of Vendrov et al. 2016, "Order-embeddings of images and language",
    equation 2. It is not symmetric.
    """

    kernel = pair_scores.ORDER
    _loop = staticmethod(order_scores)

    def pair(self, query_ND: Tensor, answer_ND: Tensor) -> Tensor:
        """Minus the squared length of the excess."""
        return -F.relu(answer_ND - query_ND).square().sum(dim=-1)

    def swapped(self, query_ND: Tensor, answer_ND: Tensor) -> tuple[Tensor, Tensor]:
        """By how much -q exceeds -a is by how much a exceeds q."""
        return -answer_ND, -query_ND

    def _on_device(self, query_UD: Tensor, candidate_BD: Tensor) -> Tensor:
        """Dimension by dimension, as for the moduli."""
        score_UB = query_UD.new_zeros(len(query_UD), len(candidate_BD))
        for query_U, candidate_B in zip(query_UD.T, candidate_BD.T, strict=True):
            score_UB -= (candidate_B - query_U[:, None]).clamp_(min=0).square_()
        return score_UB


def modulus(vector_ND: Tensor) -> Tensor:
    """Moduli of complex vectors that hold all real parts, then all imaginary ones; (N, D / 2)."""
    real, imaginary = vector_ND.chunk(2, dim=-1)
    square = real.square() + imaginary.square()
    # The root has no derivative at zero; from the least normal number on it has, and its gradient
    # is multiplied with the zeros of the difference.
    return square.clamp(min=torch.finfo(square.dtype).tiny).sqrt()


GRAPH_SCORES: Registry[type[GraphScore]] = Registry(
    "graph score",
    "mmkrl.scores",
    {
        "dot": f"{__name__}:Dot",
        "l1": f"{__name__}:L1",
        "l2": f"{__name__}:L2",
        "modulus": f"{__name__}:Modulus",
        "order": f"{__name__}:Order",
    },
)
"""Classes of graph scores by name."""


def graph_score(name: str) -> GraphScore:
    """The graph score of a name.

    Raises:
        UsageError: nothing is called so.
        UserError: what is called so is no graph score.
    """
    found = GRAPH_SCORES.get(name)
    if not (isinstance(found, type) and issubclass(found, GraphScore)):
        raise UserError(f"{name!r} is no graph score: expected a subclass of {GraphScore.__name__}")
    return found()

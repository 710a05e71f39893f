r"""Triplet ranking (max-margin, hinge) loss of images and captions.

The match scores a margin above everything else.

The hinge of an anchor a with its match m against a negative n is
:math:`h_{an} = \max(0,\ \alpha - s(a, m) + s(a, n))`. Published losses differ in which negatives of
a batch count:

* ``sum``: all (Kiros et al. 2014, "Unifying visual-semantic embeddings with multimodal neural
  language models", section 2.2);
* ``max``: the hardest (Faghri et al. 2018, "VSE++", equation 6);
* ``top_k``: the k hardest, their mean (Wang, Li, Lazebnik 2016, "Learning deep structure-preserving
  image-text embeddings", whose released code has k = 10);
* ``semi_hard``: the hardest of those that score less than the match, and where none does the
  easiest (Schroff et al. 2015, "FaceNet", section 3.2, and TensorFlow's form of it).

Theirs are sums over the batch; the mean over anchors, which makes a loss independent of the batch,
is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mmkrl.losses.config import Mining

_CHUNK_NUMBERS = 1 << 22  # differences held at once by the order measure: 16 MiB


def triplet_ranking(
    score_BC: Tensor,
    match_B: Tensor,
    counted_BC: Tensor,
    *,
    margin: float,
    mining: Mining = "sum",
    top_k: int = 10,
) -> Tensor:
    """The mean over anchors of their hinges, one direction.

    Args:
        score_BC: Scores of C candidates for each of B anchors.
        match_B: Position of each anchor's match among the candidates.
        counted_BC: True where a candidate is a negative: neither the match nor as right as it.
        margin: Alpha, in the unit of the scores.
        mining: Which negatives count.
        top_k: How many negatives count with ``mining = "top_k"``.

    Returns:
        A scalar; an anchor without negatives costs nothing.
    """
    match_B1 = score_BC.gather(1, match_B[:, None])
    if mining == "semi_hard":
        hinge_B = functional.relu(
            margin - match_B1[:, 0] + _semi_hard(score_BC, match_B1, counted_BC)
        )
        return hinge_B.mean()
    hinge_BC = functional.relu(margin - match_B1 + score_BC).masked_fill(~counted_BC, 0.0)
    if mining == "sum":
        return hinge_BC.sum(dim=1).mean()
    if mining == "max":
        return hinge_BC.amax(dim=1).mean()
    return hinge_BC.topk(min(top_k, hinge_BC.shape[1]), dim=1).values.mean()


def _semi_hard(score_BC: Tensor, match_B1: Tensor, counted_BC: Tensor) -> Tensor:
    """The score of each anchor's semi-hard negative; minus infinity for one without negatives."""
    below_BC = counted_BC & (score_BC < match_B1)
    # Without any below the match, the easiest: it is the least above it. Infinities mark anchors
    # without negatives, whose hinge is then 0.
    best_B = score_BC.masked_fill(~below_BC, -torch.inf).amax(dim=1)
    easiest_B = score_BC.masked_fill(~counted_BC, torch.inf).amin(dim=1)
    easiest_B = torch.where(counted_BC.any(dim=1), easiest_B, -torch.inf)
    return torch.where(below_BC.any(dim=1), best_B, easiest_B)


def negatives(image_B: Tensor, image_C: Tensor, match_B: Tensor, *, masked: bool) -> Tensor:
    """Where a candidate is a negative, of shape (B, C).

    Args:
        image_B: The image of each anchor, by any number of its own.
        image_C: The image of each candidate.
        match_B: Position of each anchor's match among the candidates.
        masked: Whether all pairs of the anchor's image are as right as its own, and no negatives;
            else its own alone is.
    """
    if masked:
        return image_B[:, None] != image_C[None, :]
    return match_B[:, None] != torch.arange(len(image_C), device=match_B.device)


def cosine_scores(image_BD: Tensor, text_CD: Tensor) -> Tensor:
    """Inner products of unit vectors, shape (B, C)."""
    return image_BD @ text_CD.T


def order_scores(image_BD: Tensor, text_CD: Tensor) -> Tensor:
    r"""Minus the penalty of an order that does not hold, shape (B, C).

    .. math:: s(u, v) = -\|\max(0,\ v - u)\|_2^2

    Vendrov et al. 2016, "Order-embeddings of images and language", equation 2: a caption v is more
    general than its image u, so it lies below it in every coordinate. Computed, forwards and
    backwards, a batch of images at a time: the differences of all pairs are never held together.

    Args:
        image_BD: Vectors of images, not negative.
        text_CD: Vectors of captions, likewise.
    """
    score_BC: Tensor = _OrderScores.apply(image_BD, text_CD)  # type: ignore[no-untyped-call]
    return score_BC


class _OrderScores(torch.autograd.Function):
    """The order measure; its gradient computes the (images, captions, D) differences again."""

    @staticmethod
    def forward(ctx: Any, image_BD: Tensor, text_CD: Tensor) -> Tensor:
        """Scores, a batch of images at a time."""
        ctx.save_for_backward(image_BD, text_CD)
        parts = [-excess_RCD.square().sum(dim=2) for _, excess_RCD in _excesses(image_BD, text_CD)]
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Both gradients, the excesses weighted by the gradients of their pairs."""
        image_BD, text_CD = ctx.saved_tensors
        image_grad_BD, text_grad_CD = torch.empty_like(image_BD), torch.zeros_like(text_CD)
        for rows, excess_RCD in _excesses(image_BD, text_CD):
            # d(-e^2) is -2 e de with e = max(0, v - u): plus for the image u, minus for the caption
            # v.
            weighted_RCD = excess_RCD.mul_(2 * grad_BC[rows, :, None])
            image_grad_BD[rows] = weighted_RCD.sum(dim=1)
            text_grad_CD -= weighted_RCD.sum(dim=0)
        return image_grad_BD, text_grad_CD


def _excesses(image_BD: Tensor, text_CD: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of images, and by how much every caption exceeds each of them."""
    size = max(1, _CHUNK_NUMBERS // max(1, text_CD.numel()))
    for start in range(0, len(image_BD), size):
        rows = slice(start, start + size)
        yield rows, functional.relu(text_CD[None] - image_BD[rows, None])


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": cosine_scores,
    "order": order_scores,
}

"""Losses on the scores of triples; a higher score is more plausible, an energy is minus a score."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def margin_hinge(
    positive_B: Tensor, negative_BK: Tensor, margin: float, counted_BK: Tensor | None = None
) -> Tensor:
    r"""Margin ranking (hinge) loss: a true triple's energy lies a margin below its corruptions'.

    .. math:: L = \frac{1}{BK} \sum_b \sum_k \max(0,\ \gamma + E(b) - E(b'_k))

    TransE's loss (Bordes et al., "Translating Embeddings for Modeling Multi-relational Data", NIPS
    2013, eq. 1), there a sum; the mean, which makes it independent of the batch, is ours.

    Args:
        positive_B: Scores of true triples.
        negative_BK: Scores of the corruptions of each.
        margin: Gamma, in the unit of the energies.
        counted_BK: False where a corruption costs nothing; None means that all count.

    Returns:
        A scalar.
    """
    hinge_BK = functional.relu(margin - positive_B[:, None] + negative_BK)
    if counted_BK is not None:
        hinge_BK = hinge_BK.masked_fill(~counted_BK, 0.0)
    return hinge_BK.mean()


def self_adversarial(
    positive_B: Tensor,
    negative_BK: Tensor,
    *,
    margin: float,
    temperature: float,
    counted_BK: Tensor | None = None,
) -> Tensor:
    r"""Self-adversarial negative sampling: corruptions count as the model believes in them.

    .. math:: L = -\frac{1}{B} \sum_b \left[ \log \sigma(\gamma - E(b)) +
        \sum_k p_{bk} \log \sigma(E(b'_k) - \gamma) \right], \qquad
        p_{bk} = \mathrm{softmax}_k(-\alpha E(b'_k))

    Sun et al., "RotatE", ICLR 2019, eq. 4 and 5; no gradient passes through the weights p.

    Args:
        positive_B: Scores of true triples.
        negative_BK: Scores of the corruptions of each.
        margin: Gamma, in the unit of the energies.
        temperature: Alpha; 0 weighs all corruptions alike.
        counted_BK: False where a corruption does not count; None means that all do.

    Returns:
        A scalar.
    """
    weight_BK = temperature * negative_BK.detach()
    if counted_BK is not None:
        # Not -inf: a triple none of whose corruptions counts would have weights of NaN. Its weights
        # are numbers so, and the mask below makes them 0.
        lowest = torch.finfo(weight_BK.dtype).min
        weight_BK = weight_BK.masked_fill(~counted_BK, lowest)
    weight_BK = weight_BK.softmax(dim=1)
    if counted_BK is not None:
        weight_BK = weight_BK * counted_BK
    true_B = functional.logsigmoid(margin + positive_B)
    false_B = (weight_BK * functional.logsigmoid(-margin - negative_BK)).sum(dim=1)
    return -(true_B + false_B).mean()


def one_vs_all(score_BE: Tensor, answer_B: Tensor) -> Tensor:
    r"""1vsAll: cross-entropy (full softmax) of the right entity among all.

    .. math:: L = -\frac{1}{B} \sum_b \left[ s_{b, a_b} - \log \sum_e \exp s_{b, e} \right]

    The full multiclass log-softmax of Lacroix, Usunier, Obozinski, "Canonical Tensor Decomposition
    for Knowledge Base Completion", ICML 2018.

    Args:
        score_BE: Scores of all entities for each query, in any precision.
        answer_B: Position of the right one.

    Returns:
        A scalar, of float32 at least.
    """
    loss = functional.cross_entropy(score_BE, answer_B)
    return loss.to(torch.promote_types(loss.dtype, torch.float32))


def nuclear_3_norm(*factor_BC: Tensor) -> Tensor:
    r"""N3: the cubes of the moduli of a triple's factors.

    .. math:: \Omega = \frac{1}{B} \sum_b \sum_{x \in \{h, r, t\}} \sum_c |x_{bc}|^3

    Lacroix et al., ICML 2018: a factor counts as often as it occurs. The paper's constant is left
    to the weight, as in its released code.

    Args:
        factor_BC: Moduli of head, relation and tail of each triple, or real numbers.

    Returns:
        A scalar.
    """
    return torch.stack([factor.abs().pow(3).sum() / len(factor) for factor in factor_BC]).sum()

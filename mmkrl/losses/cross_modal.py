"""Losses between the two modalities."""

from __future__ import annotations

import torch
from torch import Tensor


def multivariate_regression(prediction_BD: Tensor, target_BD: Tensor) -> Tensor:
    r"""Euclidean loss of a predicted vector, "deep multivariate regression" in MM-KRL.

    .. math:: L = \frac{1}{2B} \sum_b \|g(x_b) - y_b\|_2^2

    Caffe's ``EuclideanLoss``, which the released training files of MM-KRL use.

    Args:
        prediction_BD: Outputs of the visual branch, not normalised.
        target_BD: The knowledge vectors of the images' relationships.

    Returns:
        A scalar.
    """
    return (prediction_BD - target_BD).square().sum(dim=1).mean() / 2


def distillation(text_BD: Tensor, target_BD: Tensor) -> Tensor:
    r"""Knowledge distillation as regression: squared distance to the other modality's vectors.

    .. math:: L = \frac{1}{B} \sum_b \|\phi_b - t_b\|_2^2

    Args:
        text_BD: Unit vectors of relationships.
        target_BD: Unit vectors to move towards.

    Returns:
        A scalar.
    """
    return (text_BD - target_BD).square().sum(dim=1).mean()


def hardest_triplets(
    anchor_BD: Tensor,
    positive_BD: Tensor,
    negative_CD: Tensor,
    same_BC: Tensor,
    *,
    margin: float,
    top_k: int,
) -> Tensor:
    r"""Triplet (hinge) loss with hard-negative mining: the hardest of a pool of negatives.

    .. math:: L = \frac{1}{Bk} \sum_b \sum_{c \in \mathrm{top}_k} \max(0,\ m - a_b p_b + a_b n_c)

    Args:
        anchor_BD: Unit vectors.
        positive_BD: Unit vectors, the match of each anchor.
        negative_CD: Unit vectors of the pool.
        same_BC: True where a pool member is the anchor's own match; it does not count.
        margin: Least difference of the two products.
        top_k: k, how many of the pool count for each anchor.

    Returns:
        A scalar.
    """
    positive_B1 = (anchor_BD * positive_BD).sum(dim=1, keepdim=True)
    hinge_BC = (margin - positive_B1 + anchor_BD @ negative_CD.T).clamp(min=0)
    counted_BC = hinge_BC.masked_fill(same_BC, 0.0)
    return torch.topk(counted_BC, min(top_k, counted_BC.shape[1]), dim=1).values.mean()

"""Zero-shot recognition: name an image's relationship by the nearest text among candidates.

Zero-shot recognition ranks the unseen relationships; the generalised variant is the same call with
the seen and unseen ones as candidates. There is no classifier to train here, and no calibration of
seen against unseen scores.
"""

import numpy as np
import torch
from torch import Tensor

from mmkrl.errors import UserError
from mmkrl.evaluate.metrics.metric import Ranking
from mmkrl.evaluate.metrics.relevance import Relevance
from mmkrl.evaluate.metrics.scoring import CHUNK, score_chunks
from mmkrl.evaluate.metrics.ties import single_positions


def recognition(
    image_QD: Tensor,
    text_CD: Tensor,
    *,
    target_Q: Tensor,
    right: Relevance | None = None,
    chunk: int = CHUNK,
) -> Ranking:
    """Rank the candidate relationships for every image.

    Where an image has several right answers, it is given once for each, and the others are left
    out of the ranking, as known facts are in link prediction.

    Args:
        image_QD: shape (images, D), unit vectors.
        text_CD: shape (candidates, D), unit vectors, one per candidate relationship.
        target_Q: shape (images,), int64; index of the right candidate.
        right: all right candidates of each image; without them the target alone is right.
        chunk: images per batch.

    Returns:
        Where the target of each image stands among the candidates.

    Raises:
        UserError: pools that cannot be ranked, or a target that is no candidate.
    """
    if len(text_CD) == 0:
        raise UserError("candidates: empty; there is nothing to recognise")
    _check_targets(target_Q, len(image_QD), len(text_CD))
    above: list[Tensor] = []
    tied: list[Tensor] = []
    for index_Q, score_QC in score_chunks(image_QD, text_CD, chunk=chunk):
        right_Q = target_Q[index_Q.to(target_Q.device)].to(score_QC.device)
        right_Q1 = score_QC.gather(1, right_Q[:, None])
        if right is not None:
            # As in filtered link prediction: other right answers leave the ranking, the target
            # stays.
            known_QC = right.chunk(index_Q).to(score_QC.device)
            known_QC.scatter_(1, right_Q[:, None], value=False)
            score_QC = score_QC.masked_fill(known_QC, -torch.inf)  # noqa: PLW2901 - the same scores
        above.append((score_QC > right_Q1).sum(dim=1).cpu())
        tied.append((score_QC == right_Q1).sum(dim=1).cpu())
    return Ranking.of(single_positions(torch.cat(above), torch.cat(tied)))


def harmonic_mean(seen: float, unseen: float) -> float:
    """Harmonic mean 2 s u / (s + u) of two accuracies, 0 if both are 0.

    The summary of generalised zero-shot recognition (Xian et al., "Zero-Shot Learning: the Good,
    the Bad and the Ugly", CVPR 2017). There the accuracies are averaged per class; say beside the
    number whether yours are per class or per image.

    Raises:
        UserError: an accuracy outside 0 to 1.
    """
    if not (0 <= seen <= 1 and 0 <= unseen <= 1):
        raise UserError(f"accuracies are {seen} and {unseen}: give fractions from 0 to 1")
    return 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0


def _check_targets(target_Q: Tensor, images: int, candidates: int) -> None:
    if target_Q.shape != (images,) or target_Q.dtype != torch.int64:
        raise UserError(
            f"targets have shape {tuple(target_Q.shape)} and type {target_Q.dtype}: "
            f"give int64 of shape ({images},)"
        )
    outside = np.flatnonzero(((target_Q < 0) | (target_Q >= candidates)).cpu().numpy())
    if len(outside):
        raise UserError(
            f"image {outside[0]} has target {int(target_Q[int(outside[0])])}: "
            f"there are {candidates} candidates, numbered from 0"
        )

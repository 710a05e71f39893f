r"""Losses between the images and the captions of a batch, one object each.

A batch has N pairs, each of an image and a caption that match, and :math:`s_{ij}` is the score of
image i and caption j. Every process has the scores of its own B pairs against all N; the mean over
its pairs, averaged over the processes as gradients are, is the loss of one process with the whole
batch. Other captions of an image are no negatives of it, unless the model's setting ``masked`` is
off; they are left out of sums and softmaxes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmkrl.losses.captions import triplet_ranking
from mmkrl.losses.config import InfoNCEConfig, SigLIPConfig, TripletConfig


@dataclass(frozen=True)
class PairScores:
    """Scores of this process's B pairs against all N of the batch.

    Attributes:
        image_to_text_BN: Scores of the own images with all captions.
        text_to_image_BN: Scores of the own captions with all images.
        match_B: Position of each own pair among all.
        negative_BN: True where a pair's image and caption do not belong together, either way.
    """

    image_to_text_BN: Tensor
    text_to_image_BN: Tensor
    match_B: Tensor
    negative_BN: Tensor

    @property
    def directions(self) -> tuple[Tensor, Tensor]:
        """The scores both ways."""
        return self.image_to_text_BN, self.text_to_image_BN


class ContrastiveLoss(nn.Module):
    """A loss of pairs; what it learns (such as a temperature) are its parameters."""

    def forward(self, pairs: PairScores, *, warmup: bool = False) -> Tensor:
        """The loss of this process's pairs: a mean over them, a scalar.

        Args:
            pairs: Scores against all pairs of the batch.
            warmup: Whether the warm-up is on, for losses that have one.
        """
        raise NotImplementedError


class TripletRanking(ContrastiveLoss):
    """Triplet ranking (hinge) both ways; :mod:`mmkrl.losses.captions` has papers and formulas.

    The default, and the loss of UVS, VSE++, order embeddings and Yang et al. (KSEM 2019). A warm-up
    with the ``sum`` of all negatives may come first, because the hardest ones of untrained vectors
    say little: ours.
    """

    def __init__(self, settings: TripletConfig) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, pairs: PairScores, *, warmup: bool = False) -> Tensor:
        """The sum of both directions' mean hinges."""
        settings = self.settings
        both_ways = [
            triplet_ranking(
                score_BN,
                pairs.match_B,
                pairs.negative_BN,
                margin=settings.margin,
                mining="sum" if warmup else settings.mining,
                top_k=settings.top_k,
            )
            for score_BN in pairs.directions
        ]
        return torch.stack(both_ways).sum()


class InfoNCE(ContrastiveLoss):
    r"""InfoNCE (NT-Xent, CLIP): cross-entropy of the match, the mean of both directions.

    .. math:: L = -\frac{1}{2N} \sum_i \Big( \log \frac{e^{t s_{ii}}}{\sum_j e^{t s_{ij}}}
        + \log \frac{e^{t s_{ii}}}{\sum_j e^{t s_{ji}}} \Big)

    InfoNCE is from van den Oord et al. 2018 ("Representation learning with contrastive predictive
    coding", equation 4); both directions of images and texts from Zhang et al. 2020 ("Contrastive
    learning of medical visual representations from paired images and text", equations 2 to 4);
    their plain mean and the learned :math:`t = e^{\tau}`, 1 / 0.07 at the start and at most 100,
    from Radford et al. 2021 ("Learning transferable visual models from natural language
    supervision", CLIP, sections 2.3 and 2.5, figure 3). Ours: other captions of the same image are
    left out of the sums; AdamW, if it is chosen, decays the scale like any other parameter.
    """

    logit_scale: Tensor

    def __init__(self, settings: InfoNCEConfig) -> None:
        super().__init__()
        self.largest = math.log(settings.largest_scale)
        scale = torch.tensor(-math.log(settings.temperature)).clamp(max=self.largest)
        _keep(self, settings.learnable, logit_scale=scale)

    def forward(self, pairs: PairScores, *, warmup: bool = False) -> Tensor:  # noqa: ARG002 - it has none
        """The mean of both directions' cross-entropies."""
        if self.training:
            with torch.no_grad():  # as CLIP's step does; a clamp with gradient would never let go
                self.logit_scale.clamp_(max=self.largest)
        match_B1 = pairs.match_B[:, None]
        # Other captions of the image leave the softmax; the match itself is no negative but stays.
        left_out_BN = ~pairs.negative_BN.scatter(1, match_B1, True)
        both_ways = [
            functional.cross_entropy(
                (self.logit_scale.exp() * score_BN).masked_fill(left_out_BN, -torch.inf),
                pairs.match_B,
            )
            for score_BN in pairs.directions
        ]
        return torch.stack(both_ways).mean()


class SigLIP(ContrastiveLoss):
    r"""Pairwise sigmoid loss: binary cross-entropy of every pair, which is a match or is not.

    .. math:: L = -\frac{1}{N} \sum_i \sum_j \log \sigma\big(z_{ij} (t s_{ij} + b)\big)

    with :math:`z_{ij}` 1 for matches and -1 for others. Zhai et al. 2023 ("Sigmoid loss for
    language image pre-training", the equation of section 3.2, and algorithm 1): scale
    :math:`t = e^{t'}` and bias b are learned, from 10 and -10 at the start. Ours: other captions of
    the same image are left out.
    """

    logit_scale: Tensor
    logit_bias: Tensor

    def __init__(self, settings: SigLIPConfig) -> None:
        super().__init__()
        scale, bias = torch.tensor(-math.log(settings.temperature)), torch.tensor(settings.bias)
        _keep(self, settings.learnable, logit_scale=scale, logit_bias=bias)

    def forward(self, pairs: PairScores, *, warmup: bool = False) -> Tensor:  # noqa: ARG002 - it has none
        """The sum over all captions, the mean over the own images; all pairs count once."""
        logit_BN = self.logit_scale.exp() * pairs.image_to_text_BN + self.logit_bias
        match_BN = torch.zeros_like(pairs.negative_BN).scatter(1, pairs.match_B[:, None], True)
        loss_BN = -functional.logsigmoid(torch.where(match_BN, logit_BN, -logit_BN))
        return loss_BN.masked_fill(~(match_BN | pairs.negative_BN), 0.0).sum(dim=1).mean()


def _keep(module: nn.Module, learnable: bool, **values: Tensor) -> None:
    """Give a module numbers that are learned with its weights, or kept as they are."""
    for name, value in values.items():
        if learnable:
            module.register_parameter(name, nn.Parameter(value))
        else:
            module.register_buffer(name, value)

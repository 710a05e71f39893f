"""BC-DNN: the bi-enhanced cross-modal network of MM-KRL (Nian, Bao, Li, Xu; ACM MM 2017).

"Multi-modal knowledge representation learning via webly-supervised relationships mining",
doi 10.1145/3123266.3123443. Of the paper only its abstract, project page and the names of its two
strategies are public. From the paper: a textual branch trained by a "triplet relationship
strategy", a visual branch trained by "deep multivariate regression", each teaching the other, and
unseen relationships represented through seen parts. Ours: every layer, size and formula below. Two
choices differ from the obvious reading because they measured better on validation relationships:

* Word vectors are whitened within each slot, and the text branch starts as an (orthogonal) linear
  map of them plus a correction that starts at zero. Mean word vectors of a corpus lie in a narrow
  cone, where a regression target says little.
* The triplets keep a graded order (itself, two shared slots, one shared slot).

The branches here are pure functions of word vectors and features; how they teach each other is in
:mod:`mmkrl.models.bcdnn.learner`.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmkrl.data.views.moments import floored
from mmkrl.losses.cross_modal import distillation, hardest_triplets, multivariate_regression
from mmkrl.losses.relationship import (
    graded_relationship,
    translation_consistency,
    triplet_relationship,
)
from mmkrl.models.bcdnn.config import BCDNNConfig
from mmkrl.train.dropout import ShardInvariantDropout
from mmkrl.train.learner import Batch

_WHITENING_FLOOR = 0.1  # directions weaker than this share of the strongest are left out
_OVERSAMPLING = 32  # directions sought beyond those that are kept
_DEVIATION_FLOOR = 0.1  # features vary at least this share of the mean deviation


class TextBranch(nn.Module):
    """phi: from the word vectors of (subject, predicate, object) to a knowledge vector."""

    word_mean: Tensor
    whitening: Tensor

    def __init__(self, words: int, config: BCDNNConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.register_buffer("word_mean", torch.zeros(3, words))
        self.register_buffer("whitening", torch.zeros(3, words, words))
        self.linear = nn.Linear(3 * words, config.dimension, bias=False)
        nn.init.orthogonal_(self.linear.weight)
        self.hidden = nn.Linear(3 * words, config.hidden)
        self.correction = nn.Linear(config.hidden, config.dimension)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)
        self.parts = nn.Linear(words, words)  # shared by subjects and objects
        self.predicates = nn.Linear(words, words)

    def fit_whitening(self, word_R3W: Tensor) -> None:
        """Take mean and principal directions of each slot from training relationships."""
        for slot in range(3):
            word_RW = word_R3W[:, slot].double()
            mean_W = word_RW.mean(dim=0)
            _, scale_W, direction_WW = torch.linalg.svd(word_RW - mean_W, full_matrices=False)
            deviation_W = scale_W / len(word_RW) ** 0.5
            # Whitening divides by the deviation, which would make weak directions, mostly noise, as
            # loud as the strong ones: they become zeros.
            strong_W = deviation_W > _WHITENING_FLOOR * deviation_W[0].clamp(min=1e-12)
            gain_W = torch.where(strong_W, 1 / deviation_W.clamp(min=1e-12), 0.0)
            self.word_mean[slot] = mean_W.float()
            self.whitening[slot].zero_()
            self.whitening[slot, :, : len(gain_W)] = (direction_WW.T * gain_W).float()

    def whiten(self, word_B3W: Tensor) -> Tensor:
        """Word vectors with unit variance in each slot's strong directions, shape (B, 3, W)."""
        return torch.einsum("bsw,swv->bsv", word_B3W - self.word_mean, self.whitening)

    def forward(self, word_B3W: Tensor, drop: ShardInvariantDropout | None = None) -> Tensor:
        """Unit knowledge vectors of shape (B, D)."""
        flat_BW = self.whiten(word_B3W).flatten(start_dim=1)
        hidden_BH = functional.relu(self.hidden(flat_BW))
        if drop is not None:
            hidden_BH = drop(hidden_BH, self.dropout, layer=0)
        return functional.normalize(self.linear(flat_BW) + self.correction(hidden_BH), dim=1)

    def part_vectors(self, word_B3W: Tensor) -> Tensor:
        """The parts' own vectors z_s, z_p, z_o of shape (B, 3, W), for the translation loss."""
        subject_BW, predicate_BW, object_BW = self.whiten(word_B3W).unbind(dim=1)
        return torch.stack(
            [self.parts(subject_BW), self.predicates(predicate_BW), self.parts(object_BW)], dim=1
        )


class ImageBranch(nn.Module):
    """g: from an image's feature vector to the knowledge vector of what it shows."""

    feature_mean: Tensor
    feature_deviation: Tensor
    direction_FP: Tensor

    def __init__(self, features: int, config: BCDNNConfig) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.projected = config.projection is not None and config.projection < features
        inputs = config.projection if self.projected else features
        assert inputs is not None
        self.register_buffer("feature_mean", torch.zeros(features))
        self.register_buffer("feature_deviation", torch.ones(features))
        shape = (features, inputs) if self.projected else (0, 0)
        self.register_buffer("direction_FP", torch.eye(*shape))
        self.hidden = nn.Linear(inputs, config.hidden)
        self.output = nn.Linear(config.hidden, config.dimension)

    def fit_scale(self, mean_F: Tensor, deviation_F: Tensor) -> None:
        """Take the features' mean and deviation from training images."""
        self.feature_mean.copy_(mean_F)
        self.feature_deviation.copy_(floored(deviation_F.float(), _DEVIATION_FLOOR))

    def fit_directions(self, feature_NF: Tensor) -> None:
        """Take the principal directions from a sample of images; the scale must be fitted.

        The directions come from a randomised singular value decomposition (Halko, Martinsson,
        Tropp 2011) with a seed of its own: they do not depend on the run's.
        """
        if not self.projected:
            return
        count = min(self.direction_FP.shape[1], len(feature_NF))
        standard_NF = self._standard(feature_NF)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            *_, direction_FQ = torch.svd_lowrank(standard_NF, q=count + _OVERSAMPLING, niter=3)
        direction_FP = direction_FQ[:, :count]
        deviation_P = (standard_NF @ direction_FP).square().mean(dim=0).sqrt()
        self.direction_FP.zero_()
        self.direction_FP[:, :count] = direction_FP / floored(deviation_P, _DEVIATION_FLOOR)

    def forward(self, feature_BF: Tensor, drop: ShardInvariantDropout | None = None) -> Tensor:
        """Predicted knowledge vectors of shape (B, D), not normalised."""
        input_BP = self._standard(feature_BF)
        if self.projected:
            input_BP = input_BP @ self.direction_FP
        if drop is not None:
            input_BP = drop(input_BP, self.dropout / 2, layer=1)
        hidden_BH = functional.relu(self.hidden(input_BP))
        if drop is not None:
            hidden_BH = drop(hidden_BH, self.dropout, layer=2)
        result_BD: Tensor = self.output(hidden_BH)
        return result_BD

    def _standard(self, feature_BF: Tensor) -> Tensor:
        return (feature_BF - self.feature_mean) / self.feature_deviation

    def embed(self, feature_BF: Tensor) -> Tensor:
        """Unit knowledge vectors of shape (B, D)."""
        return functional.normalize(self(feature_BF), dim=1)


class BCDNN(nn.Module):
    """Both branches, and what each learns from the other.

    Args:
        words: Dimension of the word vectors.
        features: Dimension of the image features.
        relationships: Number of relationships the targets are kept for.
        config: Sizes and weights.
    """

    taught: Tensor
    seen: Tensor

    def __init__(self, words: int, features: int, relationships: int, config: BCDNNConfig) -> None:
        super().__init__()
        self.config = config
        self.text = TextBranch(words, config)
        self.image = ImageBranch(features, config)
        self.register_buffer("taught", torch.zeros(relationships, config.dimension))
        self.register_buffer("seen", torch.zeros(relationships, config.dimension))

    def forward(self, branch: str, batch: Batch) -> dict[str, Tensor]:
        """The named losses of one step; their sum is minimised.

        Args:
            branch: ``text`` or ``image``, the branch that learns.
            batch: As made by the learner. Its setting ``bi_enhanced`` says whether the visual
                branch already has something to teach: ``taught`` then holds the former vectors and
                ``seen`` the visual prototypes of the relationships. Of images, ``taught`` holds the
                targets.
        """
        if branch == "image":
            return self._image_losses(batch)
        if self.config.strategy == "translation":
            return {"translation": self._translation(batch)}
        anchor_BD = self._embed(batch, "anchor", 0)
        losses = {"relationship": self._relationship(batch, anchor_BD)}
        if self.config.translation_weight:
            losses["translation"] = self.config.translation_weight * self._translation(batch)
        if batch.settings.get("bi_enhanced"):
            losses |= self._taught_by_images(batch, anchor_BD)
        return losses

    def _image_losses(self, batch: Batch) -> dict[str, Tensor]:
        drop = ShardInvariantDropout(batch.seed, batch.start, batch.total)
        prediction_BD = self.image(batch.rows["feature"], drop)
        target_BD = self.taught[batch.rows["label"]]
        return {"regression": multivariate_regression(prediction_BD, target_BD)}

    def _relationship(self, batch: Batch, anchor_BD: Tensor) -> Tensor:
        near_BD = self._embed(batch, "shares_two", 1)
        far_BD = self._embed(batch, "shares_one", 2)
        loss = graded_relationship if self.config.strategy == "graded" else triplet_relationship
        return loss(anchor_BD, near_BD, far_BD, self.config.margin)

    def _translation(self, batch: Batch) -> Tensor:
        true_B3D = self.text.part_vectors(batch.rows["anchor"])
        corrupt_B3D = self.text.part_vectors(batch.rows["shares_two"])
        return translation_consistency(true_B3D, corrupt_B3D, 1.0)

    def _taught_by_images(self, batch: Batch, anchor_BD: Tensor) -> dict[str, Tensor]:
        """Vision teaches text: distillation from prototypes, and triplets with hard negatives."""
        config, label_B = self.config, batch.rows["label"]
        pool_C = batch.shared["pool"]
        # The pool is no part of the batch: every process embeds all of it, with the same masks.
        drop = ShardInvariantDropout(batch.seed * 4 + 3, 0, len(pool_C))
        pool_CD = self.text(batch.shared["pool_words"], drop)
        seen_BD = self.seen[label_B]
        target_BD = functional.normalize(
            config.memory * self.taught[label_B] + (1 - config.memory) * seen_BD, dim=1
        )
        same_BC = label_B[:, None] == pool_C[None, :]
        hinge = partial(hardest_triplets, margin=config.margin, top_k=config.top_k)
        text_to_image = hinge(anchor_BD, seen_BD, self.seen[pool_C], same_BC)
        image_to_text = hinge(seen_BD, anchor_BD, pool_CD, same_BC)
        return {
            "distillation": config.distillation_weight * distillation(anchor_BD, target_BD),
            "cross_modal": config.cross_modal_weight * (text_to_image + image_to_text),
        }

    def _embed(self, batch: Batch, rows: str, use: int) -> Tensor:
        # Four texts are embedded in a step (0 to 2 here, 3 the pool): each has masks of its own.
        drop = ShardInvariantDropout(batch.seed * 4 + use, batch.start, batch.total)
        result_BD: Tensor = self.text(batch.rows[rows], drop)
        return result_BD

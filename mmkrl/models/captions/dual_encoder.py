"""The dual encoder (two-tower model, visual-semantic embedding), by a contrastive loss.

Yang, Li, He, Wei, Liu, Liao, "Multimodal learning with triplet ranking loss for visual semantic
embedding learning" (KSEM 2019, LNAI 11775). Of it only a preview is public: a CNN (VGG-19) for
images, a GRU for texts, the triplet ranking loss between them, Adam; and sums of image and word
vectors that find images. What it leaves open is taken from the systems that it builds on:

* UVS: Kiros, Salakhutdinov, Zemel, "Unifying visual-semantic embeddings with multimodal neural
  language models" (2014), and its code: a linear map of CNN features of unit length, random words
  of 300 numbers, the last state of a GRU with orthogonal weights, 1,024 numbers in common; the
  margin 0.2 and the sum over all negatives; batches of 128, Adam at 2e-4, clipped gradients.
* VSE++: Faghri, Fleet, Kiros, Fidler, "VSE++: improving visual-semantic embeddings with hard
  negatives" (BMVC 2018): both modalities of unit length in training, too, and the hardest negative.
* Order embeddings: Vendrov, Kiros, Fidler, Urtasun, "Order-embeddings of images and language" (ICLR
  2016): the order measure of absolute values, the margin 0.05.

Ours: other captions of the same image are no negatives; the warm-up with all negatives;
standardised features, the hidden layer and dropout; the mean of words in place of the GRU; other
losses than triplet ranking. Large batches (:mod:`mmkrl.train.gradient_cache`) change no result.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmkrl.data.views.moments import floored
from mmkrl.data.views.vocabulary import Vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError
from mmkrl.losses.captions import SCORES, negatives
from mmkrl.losses.contrastive import PairScores
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.text_encoders import GRUEncoder, Layers, MeanEncoder, WordTable
from mmkrl.train.distributed import all_gather_with_grad
from mmkrl.train.dropout import ShardInvariantDropout
from mmkrl.train.gradient_cache import in_micro_batches
from mmkrl.train.learner import Batch

_FEATURES, _HIDDEN = 20, 21  # numbers of the layers that drop
_DEVIATION_FLOOR = 0.05  # features vary at least this share of the mean deviation


class ImageEncoder(nn.Module):
    """From an image's feature vector to its vector, not yet normalised."""

    mean_F: Tensor
    deviation_F: Tensor

    def __init__(self, features: int, config: CaptionConfig) -> None:
        super().__init__()
        self.scale, self.dropout = config.scale, config.dropout
        self.register_buffer("mean_F", torch.zeros(features))
        self.register_buffer("deviation_F", torch.ones(features))
        self.layers = Layers(features, config, _HIDDEN) if config.image == "mlp" else None
        self.linear = nn.Linear(features, config.dimension) if config.image == "linear" else None
        if self.linear is not None:
            nn.init.xavier_uniform_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def fit_scale(self, mean_F: Tensor, deviation_F: Tensor) -> None:
        """Take the features' mean and deviation from training images."""
        self.mean_F.copy_(mean_F)
        self.deviation_F.copy_(floored(deviation_F, _DEVIATION_FLOOR))

    def forward(self, feature_BF: Tensor, drop: ShardInvariantDropout | None) -> Tensor:
        """Vectors of shape (B, D)."""
        if self.scale == "unit":
            feature_BF = functional.normalize(feature_BF, dim=1)
        else:
            feature_BF = (feature_BF - self.mean_F) / self.deviation_F
        if drop is not None:
            feature_BF = drop(feature_BF, self.dropout, _FEATURES)
        if self.layers is not None:
            return self.layers(feature_BF, drop)  # type: ignore[no-any-return]
        assert self.linear is not None
        return self.linear(feature_BF)  # type: ignore[no-any-return]


def make_text_encoder(
    source: Vocabulary | int, words: WordVectors | None, config: CaptionConfig
) -> GRUEncoder | MeanEncoder | Layers:
    """The text encoder of a configuration.

    Args:
        source: The words that captions are made of; or the length of given text features.
        words: Pretrained word vectors, where the configuration wants them.
        config: Which encoder.
    """
    if isinstance(source, int):
        return Layers(source, config)
    table = WordTable(source, words, config)
    return MeanEncoder(table, config) if config.text == "mean" else GRUEncoder(table, config)


class DualEncoder(nn.Module):
    """Both encoders and the loss between them.

    Args:
        features: Length of the images' feature vectors.
        source: The vocabulary of the captions, or the length of given text features.
        config: Encoders and loss.
        words: Pretrained word vectors.
    """

    vocabulary_digest: Tensor

    def __init__(
        self,
        features: int,
        source: Vocabulary | int,
        config: CaptionConfig,
        *,
        words: WordVectors | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.image = ImageEncoder(features, config)
        self.text = make_text_encoder(source, words, config)
        self.loss = config.loss.build()
        digest = b"" if isinstance(source, int) else bytes.fromhex(source.digest)
        self.register_buffer("vocabulary_digest", torch.tensor(list(digest), dtype=torch.uint8))
        self.register_load_state_dict_pre_hook(_same_vocabulary)  # type: ignore[no-untyped-call]

    def forward(self, branch: str, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - both take part
        """The named losses of one step; their sum is minimised.

        Args:
            branch: Which encoder learns; empty for both.
            batch: Pairs as rows: ``feature`` of images, ``word`` and ``length`` (or
                ``text_feature``) of captions, and ``image``, the number of each pair's image. Its
                setting ``warmup`` says whether the loss is that of the warm-up.
        """
        image_BD, text_BD = self.encode(batch)
        return {"ranking": self.ranking(batch, image_BD, text_BD)}

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The vectors of a batch's images and captions, of shape (B, D) each."""
        rows = batch.rows

        def both(micro_batch: slice) -> Tensor:
            # Masks by position in the global batch: the same for any micro-batches and processes,
            # and when a micro-batch is encoded again for its gradient.
            drop = ShardInvariantDropout(batch.seed, batch.start + micro_batch.start, batch.total)
            taken = {name: value[micro_batch] for name, value in rows.items()}
            feature_MF = self.features_of(taken)
            return torch.cat(
                [self.image_vectors(feature_MF, drop), self.text_vectors(taken, drop)], dim=1
            )

        vector_B2D = in_micro_batches(both, len(rows["image"]), self.config.micro_batch_size)
        image_BD, text_BD = vector_B2D.chunk(2, dim=1)
        return image_BD, text_BD

    def features_of(self, rows: dict[str, Tensor]) -> Tensor:
        """Feature vectors of images, shape (B, F), of what a batch holds of them."""
        return rows["feature"]

    def image_vectors(
        self, feature_BF: Tensor, drop: ShardInvariantDropout | None = None
    ) -> Tensor:
        """Unit vectors of images, shape (B, D); of the order measure, not negative."""
        with self._precision(feature_BF):
            vector_BD = self.image(feature_BF, drop)
        return self._unit_vectors(vector_BD)

    def text_vectors(
        self, rows: dict[str, Tensor], drop: ShardInvariantDropout | None = None
    ) -> Tensor:
        """Unit vectors of captions, shape (B, D).

        Args:
            rows: ``word`` and ``length``, or ``text_feature``.
            drop: Masks of training; None drops nothing.
        """
        given = "text_feature" in rows
        names = ("text_feature",) if given else ("word", "length")
        with self._precision(rows[names[0]]):
            vector_BD = self.text(*(rows[name] for name in names), drop)
        return self._unit_vectors(vector_BD)

    def ranking(self, batch: Batch, image_BD: Tensor, text_BD: Tensor) -> Tensor:
        """The contrastive loss of this process's pairs, against those of all processes."""
        image_B = batch.rows["image"]
        image_N = all_gather_with_grad(image_B)
        match_B = torch.arange(len(image_B), device=image_B.device) + batch.start
        negative_BN = negatives(image_B, image_N, match_B, masked=self.config.masked)
        score = SCORES[self.config.measure]
        text_ND, image_ND = all_gather_with_grad(text_BD), all_gather_with_grad(image_BD)
        score_BN = score(image_BD, text_ND)
        alone = text_ND is text_BD  # one process: captions to images is the same table, turned
        other_BN = (score_BN if alone else score(image_ND, text_BD)).T
        pairs = PairScores(score_BN, other_BN, match_B, negative_BN)
        loss: Tensor = self.loss(pairs, warmup=bool(batch.settings.get("warmup")))
        return loss

    def _unit_vectors(self, vector_BD: Tensor) -> Tensor:
        # In float32 whatever the encoders compute in. Order embeddings lie in the positive orthant.
        vector_BD = functional.normalize(vector_BD.float(), dim=1)
        return vector_BD.abs() if self.config.measure == "order" else vector_BD

    def _precision(self, like: Tensor) -> torch.autocast:
        half = self.config.precision == "bfloat16"
        return torch.autocast(like.device.type, torch.bfloat16, enabled=half)


def _same_vocabulary(module: DualEncoder, state: dict[str, Tensor], *_: object) -> None:
    """Refuse weights whose words have other numbers."""
    other = state.get("vocabulary_digest")
    if other is not None and not torch.equal(module.vocabulary_digest.cpu(), other.cpu()):
        raise UserError(
            "these weights were trained with another vocabulary, that of other captions or another "
            "minimum_count: train again"
        )

"""The dual encoder: images and captions in one space, by triplet ranking.

UVS (Kiros et al. 2014), VSE++ (Faghri et al. 2018), order embeddings (Vendrov et al. 2016), and so
the system of Yang et al. (KSEM 2019, "Multimodal learning with triplet ranking loss for visual
semantic embedding learning"), of which only the parts are known: a CNN, a GRU and this loss. From
the papers: the linear map of unit-length features, the GRU's last state, the hinge and its mining,
the margin. Ours: both modalities have unit length in training, too (UVS normalises images in its
tests alone); the mask of other captions of the same image; features may be standardised; dropout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmkrl.data.views.moments import floored
from mmkrl.data.views.vocabulary import Vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.errors import UserError
from mmkrl.losses.captions import SCORES, negatives, triplet_ranking
from mmkrl.losses.config import Mining
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.text_encoders import GRUEncoder, Layers, MeanEncoder, WordTable
from mmkrl.train.dropout import Noise
from mmkrl.train.gathered import gathered
from mmkrl.train.gradient_cache import Piece, in_pieces
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

    def forward(self, feature_BF: Tensor, noise: Noise | None) -> Tensor:
        """Vectors of shape (B, D)."""
        if self.scale == "unit":
            feature_BF = functional.normalize(feature_BF, dim=1)
        else:
            feature_BF = (feature_BF - self.mean_F) / self.deviation_F
        if noise is not None:
            feature_BF = noise.dropout(feature_BF, self.dropout, _FEATURES)
        if self.layers is not None:
            return self.layers(feature_BF, noise)  # type: ignore[no-any-return]
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
        self.mining: Mining = config.mining  # the learner's phases change it
        self.image = ImageEncoder(features, config)
        self.text = make_text_encoder(source, words, config)
        digest = b"" if isinstance(source, int) else bytes.fromhex(source.digest)
        self.register_buffer("vocabulary_digest", torch.tensor(list(digest), dtype=torch.uint8))
        self.register_load_state_dict_pre_hook(_same_vocabulary)  # type: ignore[no-untyped-call]

    def forward(self, branch: str, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002 - both take part
        """The named losses of one step; their sum is minimised.

        Args:
            branch: Which encoder learns; empty for both.
            batch: Pairs as rows: ``feature`` of images, ``word`` and ``length`` (or
                ``text_feature``) of captions, and ``image``, the number of each pair's image.
        """
        image_BD, text_BD = self.encode(batch)
        return {"ranking": self.ranking(batch, image_BD, text_BD)}

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The vectors of a batch's images and captions, of shape (B, D) each."""
        rows = batch.rows

        def both(piece: Piece) -> Tensor:
            noise = Noise(batch.seed, batch.start + piece.start, batch.total)
            part = {name: value[piece] for name, value in rows.items()}
            feature_PF = self.features_of(part)
            return torch.cat(
                [self.image_vectors(feature_PF, noise), self.text_vectors(part, noise)], dim=1
            )

        vector_B2D = in_pieces(both, len(rows["image"]), self.config.held)
        image_BD, text_BD = vector_B2D.chunk(2, dim=1)
        return image_BD, text_BD

    def features_of(self, rows: dict[str, Tensor]) -> Tensor:
        """Feature vectors of images, shape (B, F), of what a batch holds of them."""
        return rows["feature"]

    def image_vectors(self, feature_BF: Tensor, noise: Noise | None = None) -> Tensor:
        """Unit vectors of images, shape (B, D); of the order measure, not negative."""
        with self._precision(feature_BF):
            vector_BD = self.image(feature_BF, noise)
        return self._placed(vector_BD)

    def text_vectors(self, rows: dict[str, Tensor], noise: Noise | None = None) -> Tensor:
        """Unit vectors of captions, shape (B, D).

        Args:
            rows: ``word`` and ``length``, or ``text_feature``.
            noise: Source of the masks; none drops nothing.
        """
        given = "text_feature" in rows
        names = ("text_feature",) if given else ("word", "length")
        with self._precision(rows[names[0]]):
            vector_BD = self.text(*(rows[name] for name in names), noise)
        return self._placed(vector_BD)

    def ranking(self, batch: Batch, image_BD: Tensor, text_BD: Tensor) -> Tensor:
        """The loss of both directions, of this process's pairs against those of all."""
        config, image_B = self.config, batch.rows["image"]
        image_T = gathered(image_B)
        match_B = torch.arange(len(image_B), device=image_B.device) + batch.start
        counted_BT = negatives(image_B, image_T, match_B, masked=config.masked)
        both_ways = [
            triplet_ranking(
                score_BT,
                match_B,
                counted_BT,
                margin=config.margin,
                mining=self.mining,
                hardest=config.hardest,
            )
            for score_BT in self._scores(image_BD, text_BD)
        ]
        return torch.stack(both_ways).sum()

    def _scores(self, image_BD: Tensor, text_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Of local images for all captions, and of local captions for all images, (B, T) each."""
        score = SCORES[self.config.measure]
        text_TD, image_TD = gathered(text_BD), gathered(image_BD)
        score_BT = score(image_BD, text_TD)
        return score_BT, (score_BT if text_TD is text_BD else score(image_TD, text_BD)).T

    def _placed(self, vector_BD: Tensor) -> Tensor:
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
            "these weights were trained with another vocabulary: use the vocabulary.json of the "
            "run that they come from"
        )

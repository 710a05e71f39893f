"""The dual encoder with a backbone that learns: a last phase on pictures instead of features.

VSE++ (Faghri et al. 2018, section 3) trains on the features of a fixed network first, then goes on
with the network included, at a tenth of the rate and on random parts and mirror images of the
pictures. Ours: normalisation layers keep the statistics of the pretraining (batches are too small
and too like each other to give better ones, and a row's vector must not depend on its batch), and
nothing is dropped within the network; the rate's share of the backbone is a setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from mmkrl.arrays import IntArray
from mmkrl.data.views.captions import Captions
from mmkrl.data.views.vocabulary import Vocabulary
from mmkrl.data.views.words import WordVectors
from mmkrl.encoders.engines import FromPixels
from mmkrl.encoders.views import Pictures, Views
from mmkrl.errors import UserError
from mmkrl.models.captions.config import CaptionConfig, FineTuneConfig
from mmkrl.models.captions.dual_encoder import DualEncoder
from mmkrl.models.captions.learner import CaptionLearner
from mmkrl.train.learner import Batch, Phase

FINE_TUNE, BACKBONE = "fine_tune", "backbone"
_CHUNK = 64  # pictures seen at once where nothing is learned


class FineTuned(DualEncoder):
    """Both encoders, and the backbone before that of images.

    Args:
        backbone: From pixels (:class:`~mmkrl.encoders.engines.FromPixels`) to features.
        features: Length of the images' feature vectors.
        source: The vocabulary of the captions, or the length of given text features.
        config: Encoders and loss.
        words: Pretrained word vectors.

    Attributes:
        begun: Not zero once the backbone has begun to learn; from then on, and wherever such
            weights are loaded, features are what it gives, and not those that were extracted.
    """

    begun: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        features: int,
        source: Vocabulary | int,
        config: CaptionConfig,
        *,
        words: WordVectors | None = None,
    ) -> None:
        super().__init__(features, source, config, words=words)
        laid_out = backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.backbone: nn.Module = laid_out.requires_grad_(True)
        self.register_buffer("begun", torch.zeros(1, dtype=torch.uint8))

    def train(self, mode: bool = True) -> FineTuned:
        """Learn; but the backbone's normalisation keeps its statistics, and nothing is dropped."""
        super().train(mode)
        self.backbone.eval()  # train() above has set all submodules
        return self

    def features_of(self, rows: dict[str, Tensor]) -> Tensor:
        """Feature vectors of images, given as such or as ``pixel``, uint8 of shape (B, S, S, 3)."""
        if "pixel" not in rows:
            return super().features_of(rows)
        with self._precision(rows["pixel"]):
            feature_BF: Tensor = self.backbone(rows["pixel"])
        return feature_BF.float()


class FineTuningLearner(CaptionLearner):
    """A dual encoder whose backbone learns in a last phase, with its captions and schedule.

    Args:
        captions: Images and captions by split.
        config: Model, loss and schedule, with a section ``fine_tune``.
        pictures: The images themselves.
        words: Pretrained word vectors, where the configuration wants them.
        seed: Decides the order of the captions.

    Raises:
        UserError: as for the dual encoder; the backbone's vectors are no such features.
    """

    module: FineTuned

    def __init__(
        self,
        captions: Captions,
        config: CaptionConfig,
        *,
        pictures: Pictures,
        words: WordVectors | None = None,
        seed: int,
    ) -> None:
        assert config.fine_tune is not None
        self._tune: FineTuneConfig = config.fine_tune
        self._pictures = pictures
        super().__init__(captions, config, words=words, seed=seed)

    def _make(self, words: WordVectors | None) -> FineTuned:
        source, length = self._pictures.source, self._features
        if source.length != length:
            raise UserError(
                f"fine_tune: the backbone {source.encoder.name} gives vectors of {source.length} "
                f"numbers, and the features have {length}: train.features must name it alone"
            )
        with torch.random.fork_rng(devices=[]):  # the encoders start as they would without it
            backbone = FromPixels(source)
        return FineTuned(backbone, length, self._source, self._config, words=words)

    def phases(self) -> list[Phase]:
        """Training on features, then with the backbone."""
        tune, config = self._tune, self._config
        last = self._phase(FINE_TUNE, tune.epochs, config.final_learning_rate)
        last = replace(
            last,
            learning_rate=config.learning_rate * tune.learning_rate_scale,
            learning_rate_scales={BACKBONE: tune.backbone_learning_rate_scale},
            validate_steps=max(1, round(last.steps / tune.epochs)),
        )
        return [
            # 0 freezes the backbone: it gets neither gradients nor a share of the optimiser's
            # state.
            *(replace(phase, learning_rate_scales={BACKBONE: 0.0}) for phase in super().phases()),
            last,
        ]

    def begin(self, phase: Phase) -> None:
        """From the last phase on, images are what the backbone sees."""
        if phase.name == FINE_TUNE:
            self.module.begun.fill_(1)

    def batch(self, phase: Phase, step: int, seed: int) -> Batch:
        """The global batch of a step; in the last phase with pictures, each process its own."""
        batch = super().batch(phase, step, seed)
        if phase.name != FINE_TUNE:
            return batch
        rows = {name: value for name, value in batch.rows.items() if name != "feature"}
        return replace(batch, rows=rows, made={"pixel": self._pixels(rows["image"].numpy(), seed)})

    def _pixels(self, image_B: IntArray, seed: int) -> Callable[[slice], Tensor]:
        views = Views.drawn(len(image_B), seed, mirror=self._tune.mirror)

        # Views are drawn for the whole batch, pictures decoded by the process that needs them:
        # decoding is what costs, and the views do not depend on who decodes.
        def made(part: slice) -> Tensor:
            return self._pictures.parts(image_B[part], views[part], self._tune.crop)

        return made

    def image_features(self, index_B: IntArray) -> Tensor:
        """Feature vectors of images; from pictures once the last phase has begun."""
        if not self.module.begun:
            return super().image_features(index_B)
        starts = range(0, len(index_B), _CHUNK)
        parts = [self._pictures.whole(index_B[start : start + _CHUNK]) for start in starts]
        return torch.cat(
            [self.module.features_of({"pixel": part.to(self._device)}) for part in parts]
        )

"""Which learner a model of captions has."""

from __future__ import annotations

from mmkrl.data.views.captions import Captions
from mmkrl.data.views.words import WordVectors
from mmkrl.encoders.views import Pictures
from mmkrl.models.captions.config import CaptionConfig
from mmkrl.models.captions.fine_tuning import FineTuningLearner
from mmkrl.models.captions.learner import CaptionLearner
from mmkrl.models.captions.mtls import MTLSLearner


def caption_learner(
    captions: Captions,
    config: CaptionConfig,
    *,
    pictures: Pictures | None = None,
    words: WordVectors | None = None,
    seed: int,
) -> CaptionLearner:
    """MTLS, a dual encoder with its image encoder, or one without.

    Args:
        captions: Images and captions by split.
        config: Model, losses and schedule.
        pictures: The images themselves, for a configuration with ``fine_tune``.
        words: Pretrained word vectors, where the configuration wants them.
        seed: Decides the order of the captions.

    Raises:
        UserError: as for the learners.
    """
    if config.fine_tune is not None:
        assert pictures is not None
        return FineTuningLearner(captions, config, pictures=pictures, words=words, seed=seed)
    kind = CaptionLearner if config.transfer is None else MTLSLearner
    return kind(captions, config, words=words, seed=seed)

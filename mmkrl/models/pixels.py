"""From encoded pictures to the features that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmkrl.data.pictures import Limits, Pixels, UnusablePicture, decode
from mmkrl.data.views.mapped_features import joined
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.extractor import Extractor
from mmkrl.errors import UserError


class PixelFeatures:
    """Decodes pictures and runs the encoders, which are loaded with the first picture.

    Args:
        config: How the features of the training were extracted.
    """

    def __init__(self, config: ExtractConfig) -> None:
        self.config = config
        self._extractor: Extractor | None = None

    @torch.inference_mode()
    def __call__(self, images: Sequence[bytes]) -> Tensor:
        """Feature vectors of encoded pictures, float32, shape (len(images), F).

        Raises:
            UserError: one of them cannot be decoded.
        """
        config = self.config
        if self._extractor is None:
            self._extractor = Extractor(config, dict.fromkeys(config.backbones, "torch"))
        features = self._extractor(decoded(images, config))
        return torch.from_numpy(joined([features[name] for name in config.backbones])).float()


def decoded(images: Sequence[bytes], config: ExtractConfig) -> Pixels:
    """Pictures as an extraction sees them, uint8 of shape (len(images), S, S, 3).

    Raises:
        UserError: one of them cannot be decoded.
    """
    limits, size = Limits(config.max_bytes, config.max_pixels), config.image_size
    try:
        pixels = [decode(bytes(image), limits, size=size, fit=config.fit) for image in images]
    except UnusablePicture as fault:
        raise UserError(f"an image cannot be used: {fault}") from None
    return np.stack(pixels) if pixels else np.zeros((0, size, size, 3), np.uint8)

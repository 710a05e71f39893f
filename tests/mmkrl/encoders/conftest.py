"""What the tests of feature extraction share."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.extractor import Extractor

SIZE = 64


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def pixels():
    """Five pictures, each smooth in its own way, as decoding gives them."""
    place = np.linspace(0, np.pi, SIZE)
    waves = [np.sin(place[:, None] * (n + 1)) * np.cos(place[None, :] * n) for n in range(5)]
    shades = np.stack([np.stack([wave, -wave, wave**2], axis=-1) for wave in waves])
    return ((shades + 1) * 127).astype(np.uint8)


@pytest.fixture
def encoded():
    """A picture of one colour as PNG bytes."""

    def make(colour="red") -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (20, 10), colour).save(file, "PNG")
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def make_extractor():
    """One backbone's vectors of small pictures, float16."""

    def make(backbone="efficientnet_lite0", *, weights=None, engine="torch", **fields):
        config = ExtractConfig(
            backbones=(backbone,),
            weights={backbone: weights} if weights else {},
            **({"image_size": SIZE, "batch_size": 4} | fields),
        )
        extractor = Extractor(config, {backbone: engine})
        return lambda pixels: extractor(pixels)[backbone]

    return make

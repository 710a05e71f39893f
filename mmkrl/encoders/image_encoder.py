"""What an image encoder is: a pretrained network that gives one vector a picture."""

from __future__ import annotations

import hashlib
import io
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

import mmkrl.encoders.torch_setup  # noqa: F401 - must come before torchvision
from mmkrl.encoders.config import ENCODERS
from mmkrl.errors import UserError
from mmkrl.io.storage import locate

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PLACES = 4  # fields a side


@dataclass(frozen=True)
class ImageEncoder:
    """A network without its classifier, and what it expects of pixels.

    Attributes:
        name: What messages call it.
        dimension: Length of the vectors.
        mean: Subtracted from pixels in [0, 1], by channel.
        deviation: Divides them afterwards.
        build: Makes the network, a function from pictures of shape (B, 3, size, size) to vectors
            of shape (B, dimension); given ``extract.weights``: None for the published weights,
            ``random`` for untrained ones, or the path of a state dict.
        places: Layers that :class:`WithPlaces` summarises: channels by stride, the share of the
            picture's side that a position stands for. Empty where the network gives none.
        license: SPDX name of the licence of the published weights; empty if it is not known.
        digest: The first hexadecimal digits of the SHA-256 of the published weights; empty if
            there is no single file of them.
    """

    name: str
    dimension: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    build: Callable[[str | None], nn.Module]
    places: Mapping[int, int] = field(default_factory=dict)
    license: str = ""
    digest: str = ""

    def length(self, *, places: bool) -> int:
        """Length of the vectors, with or without the summary of places.

        Raises:
            UserError: this network has no layer to summarise.
        """
        if not places:
            return self.dimension
        if not self.places:
            able = ", ".join(name for name in ENCODERS.names() if ENCODERS.get(name).places)
            raise UserError(
                f"extract.places: {self.name} has no layer that keeps places; these have: {able}"
            )
        return self.dimension + sum(self.places.values()) * PLACES**2


def image_encoder(name: str) -> ImageEncoder:
    """The encoder that a configuration names.

    Raises:
        UsageError: there is none of this name, or it cannot be imported.
    """
    found: ImageEncoder = ENCODERS.get(name)
    return found


class WithPlaces(nn.Module):
    """A network's vector beside what inner layers show in each field of a 4 x 4 grid.

    The mean over the whole picture forgets where things are and what their parts look like;
    relationships differ in just that. Ours, not the papers'.

    Args:
        network: Gives (vectors, layers) when called with True.
        strides: Of the layers, see :class:`ImageEncoder`.
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


def trained(make: Callable[[], nn.Module], path: str, digest: str = "") -> nn.Module:
    """A network with the state dict in a local or S3 file; nothing in it is executed.

    Args:
        make: Makes the network.
        path: The file.
        digest: The first digits of its SHA-256, if they are known.

    Raises:
        UserError: there is no file, or it holds something else.
    """
    data = locate(path).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(digest):
        raise UserError(
            f"{path}: SHA-256 {found[:8]}..., expected {digest}...: the file is damaged or of "
            "another version; install its package again"
        )
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


def untrained(make: Callable[[], nn.Module]) -> nn.Module:
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

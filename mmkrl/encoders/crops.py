"""A picture's vector as the mean over parts of it: steadier than that of one look at the whole."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CROP_SHARE = 7 / 8
"""Side of a crop beside that of the picture: 224 of 256 pixels, as usual."""


def crop_side(size: int) -> int:
    """The side of the ten crops of a picture, in pixels."""
    return round(size * CROP_SHARE)


class WithMirror(nn.Module):
    """The mean of a network's vectors of a picture and of its mirror image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Vectors of shape (B, length)."""
        return _mean(self.network, [image_BCHW, image_BCHW.flip(3)])


class WithTenCrops(nn.Module):
    """The mean over the four corners, the centre, and the mirror images of these five.

    Krizhevsky, Sutskever, Hinton 2012, section 4.1, who average what the network predicts; features
    as in order embeddings (Vendrov et al. 2016).

    Args:
        network: Takes pictures of :func:`crop_side`.
        size: Side of the whole pictures.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network = network
        self.side = crop_side(size)
        far, middle = size - self.side, (size - self.side) // 2
        self.corners = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Vectors of shape (B, length)."""
        side = self.side
        crops = [
            image_BCHW[:, :, top : top + side, left : left + side] for top, left in self.corners
        ]
        return _mean(self.network, [*crops, *(crop.flip(3) for crop in crops)])


def _mean(network: nn.Module, images: list[Tensor]) -> Tensor:
    vector_ND: Tensor = network(torch.cat(images))
    return torch.stack(vector_ND.chunk(len(images))).mean(dim=0)

"""An image encoder in which nothing is learned: the mean colour of each field of a grid."""

from torch import nn

from mmkrl.encoders.image_encoder import ImageEncoder


def _build(weights):
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())


FIELDS = ImageEncoder(
    name="fields", dimension=48, mean=(0.5, 0.5, 0.5), deviation=(0.25, 0.25, 0.25), build=_build
)

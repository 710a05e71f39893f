"""Curves are pictures of what was measured."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from mmkrl.train.learner import Measurement
from mmkrl.viz.curves import loss_curve

LOSSES = [
    Measurement(s, n, 3 / (s + k)) for k, n in ((1, "loss_a"), (2, "loss_b")) for s in range(50)
]
VALIDATION = [Measurement(s, "validation_map", s / 50) for s in (10, 30, 49)]


def picture(measurements, title="a title"):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = loss_curve(measurements, title)
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def colourful(pixels):
    """How many pixels of each half are neither white, black nor grey."""
    coloured = pixels.max(axis=2) - pixels.min(axis=2) > 60
    middle = len(pixels) // 2
    return int(coloured[:middle].sum()), int(coloured[middle:].sum())


def test_losses_are_above_and_validation_below():
    pixels = picture([*LOSSES, *VALIDATION])
    assert pixels.shape == (660, 880, 3)
    assert min(colourful(pixels)) > 100
    only_losses, only_validation = colourful(picture(LOSSES)), colourful(picture(VALIDATION))
    assert only_losses[0] > 100 > only_losses[1] == 0
    assert only_validation[1] > 100 > only_validation[0] == 0


@pytest.mark.parametrize(
    "measurements",
    [
        [],
        [Measurement(0, "loss_a", 0.0), Measurement(1, "loss_a", 0.5)],
        [Measurement(1, "validation_map", float("nan"))],
    ],
    ids=["nothing", "a loss of zero", "not a number"],
)
def test_what_cannot_be_drawn_is_left_out(measurements):
    assert picture(measurements).min() < 100  # the axes


def test_the_order_of_measurements_does_not_matter():
    everything = [*LOSSES, *VALIDATION]
    np.testing.assert_array_equal(picture(everything), picture(everything[::-1]))


def test_the_title_is_drawn_as_it_is():
    assert (picture(LOSSES, "one") != picture(LOSSES, "another")).any()
    picture(LOSSES, "image_only-0 with _ and %")

"""The vector of a picture's crops is the mean of the crops' vectors."""

import numpy as np
import pytest

from mmkrl.config import check
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.engines import available
from mmkrl.errors import UsageError
from tests.mmkrl.encoders.conftest import SIZE

SIDE = 56  # 7/8 of it


def parts(pixels, crops):
    """The crops of pictures, one array a crop."""
    found = [pixels]
    if crops == 10:
        far, middle = SIZE - SIDE, (SIZE - SIDE) // 2
        corners = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
        found = [pixels[:, y : y + SIDE, x : x + SIDE] for y, x in corners]
    return [*found, *(np.ascontiguousarray(part[:, :, ::-1]) for part in found)]


@pytest.mark.parametrize("crops", [2, 10])
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_mean_of_the_crops_vectors(crops, engine, make_extractor, pixels):
    if not available(engine):
        pytest.skip(f"{engine} is not installed")
    cut = parts(pixels, crops)
    alone = make_extractor(image_size=cut[0].shape[1])
    expected = np.mean([alone(part).astype(np.float64) for part in cut], axis=0)
    found = make_extractor(crops=crops, engine=engine)(pixels)
    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=4e-3)


def test_a_mirrored_picture_has_the_same_vector(make_extractor, pixels):
    extractor = make_extractor(crops=2)
    mirrored = extractor(np.ascontiguousarray(pixels[:, :, ::-1]))
    np.testing.assert_allclose(mirrored, extractor(pixels), rtol=2e-3, atol=2e-3)


def test_places_of_several_crops_are_refused():
    with pytest.raises(UsageError, match="crops = 10 and places: the crops' places differ"):
        check({"crops": 10, "places": True}, ExtractConfig)

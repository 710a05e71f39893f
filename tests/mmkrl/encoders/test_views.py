"""What a learning backbone sees: extraction's pixels, or parts of them by a seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from mmkrl.data.digest import content_id
from mmkrl.data.pictures import Limits, decode
from mmkrl.data.schemas import IMAGES
from mmkrl.data.views.mapped_pictures import map_pictures
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.decoding import Decoder
from mmkrl.encoders.engines import Source
from mmkrl.encoders.views import Pictures, Views
from mmkrl.errors import UserError
from tests.support.captions import published
from tests.support.pictures import corpus_of_photos

SIZE = 40


def open_pictures(corpus, cache, **fields):
    config = ExtractConfig.model_validate({"image_size": SIZE} | fields)
    ids = list(dict.fromkeys(corpus.table("images")["image_id"].to_pylist()))
    source = Source.configured(config, "efficientnet_lite0")
    return Pictures(map_pictures(corpus, ids, cache), config, source), config


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpus_of_photos(tmp_path_factory.mktemp("corpus"), 8)


@pytest.mark.parametrize("fit", ["squeeze", "centre"])
def test_whole_pictures_are_those_of_the_extraction(corpus, tmp_path, fit):
    pictures, config = open_pictures(corpus, tmp_path, fit=fit)
    expected = Decoder(config)(corpus.table("images").slice(0, 8)).pixel_NHWC
    order = np.array([5, 0, 5, 7])
    assert np.array_equal(pictures.whole(order).numpy(), expected[order])


def test_parts_by_a_loop(corpus, tmp_path):
    pictures, config = open_pictures(corpus, tmp_path)
    index_B = np.array([3, 1, 6, 3, 0])
    views = Views.drawn(5, 11, mirror=True)
    pixel_BSS3 = pictures.parts(index_B, views, 0.625)
    images = corpus.table("images")["image"].to_pylist()
    for b, n in enumerate(index_B):
        square = decode(images[n], Limits(), size=64, fit=config.fit)
        top, left = (int(offset * 25) for offset in views.offset_B2[b])
        part = square[top : top + SIZE, left : left + SIZE]
        if views.mirrored_B[b]:
            part = part[:, ::-1]
        assert np.array_equal(pixel_BSS3[b].numpy(), part)
    assert 0 < views.mirrored_B.sum() < 5
    whole = pictures.parts(index_B, Views.drawn(5, 11, mirror=False), 1.0)
    assert torch.equal(whole, pictures.whole(index_B))


def test_views_are_a_function_of_the_seed_and_the_place():
    one, again, other = (Views.drawn(100, seed, mirror=True) for seed in (4, 4, 5))
    assert np.array_equal(one.offset_B2, again.offset_B2)
    assert not np.array_equal(one.offset_B2, other.offset_B2)
    part = one[25:50]
    assert np.array_equal(part.offset_B2, one.offset_B2[25:50])
    assert np.array_equal(part.mirrored_B, one.mirrored_B[25:50])
    assert 20 < one.mirrored_B.sum() < 80
    assert not Views.drawn(100, 4, mirror=False).mirrored_B.any()


def test_a_picture_that_cannot_be_decoded_any_more_is_told(tmp_path):
    row = {"source": "made", "uri": "u", "format": "JPEG", "width": 1, "height": 1, "license": ""}
    row |= {"image": b"no picture", "image_id": content_id(b"no picture")}
    broken = published(tmp_path / "c", images=pa.Table.from_pylist([row], IMAGES.arrow))
    pictures, _ = open_pictures(broken, tmp_path)
    with pytest.raises(UserError, match=f"image {row['image_id']} was decoded .*: not_an_image"):
        pictures.whole(np.array([0]))

"""Rows become vectors one for one, however they are cut, and what cannot be used is told."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from mmkrl.data.digest import content_id
from mmkrl.data.schemas import DEAD_LETTERS, features
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.decoding import Decoder
from mmkrl.encoders.extractor import feature_tables
from mmkrl.encoders.image_encoder import image_encoder
from mmkrl.errors import UserError


@pytest.fixture(scope="module")
def extractor(make_extractor):
    return make_extractor()


def rows(**images) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"image_id": content_id(data), "uri": f"web/{key}", "image": data}
            for key, data in images.items()
        ]
    )


def decode_rows(table, config):
    return Decoder(config)(table)


def test_a_batch_equals_single_pictures(extractor, pixels):
    together = extractor(pixels)  # batches of 4 and 1
    single = np.concatenate([extractor(picture[None]) for picture in pixels])
    assert together.shape == (5, 1280)
    np.testing.assert_allclose(together, single, rtol=5e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "weights"), [("efficientnet_lite0", None), ("resnet50", "random")]
)
def test_channels_last_equals_plain_float32(name, weights, make_extractor, pixels):
    found = make_extractor(name, weights=weights)(pixels).astype(np.float64)
    backbone = image_encoder(name)
    network = backbone.build(weights).eval()
    mean_C, deviation_C = np.array(backbone.mean), np.array(backbone.deviation)
    plain = ((pixels / 255 - mean_C) / deviation_C).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(np.ascontiguousarray(plain))).double().numpy()
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(axis=1) / lengths).min() >= 0.9999


def test_efficientnet_lite0_sees_pixels_around_zero():
    backbone = image_encoder("efficientnet_lite0")
    shade = np.arange(256)[:, None]
    normal = (shade / 255 - np.array(backbone.mean)) / np.array(backbone.deviation)
    np.testing.assert_allclose(normal, np.repeat((shade - 127) / 128, 3, axis=1))


def test_different_pictures_get_different_vectors(extractor, pixels):
    vectors = extractor(pixels).astype(np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (unit @ unit.T - np.eye(5)).max() < 0.999


def test_an_empty_piece_gives_empty_tables(extractor):
    config = ExtractConfig(image_size=64)
    decoded = decode_rows(rows(a=b"no picture").slice(0, 0), config)
    assert (decoded.image_ids, decoded.pixel_NHWC.shape, decoded.dead) == ([], (0, 64, 64, 3), {})
    vectors = extractor(decoded.pixel_NHWC)
    columns = {"efficientnet_lite0": vectors}
    assert vectors.shape == (0, 1280)
    assert vectors.dtype == np.float16
    tables = feature_tables(decoded.image_ids, columns, [])
    assert tables["features"].schema == features({"efficientnet_lite0": 1280}).arrow
    assert {name: table.num_rows for name, table in tables.items()} == {
        "features": 0,
        "dead_letters": 0,
    }


def test_tables_keep_ids_beside_their_vectors():
    vectors = np.arange(6, dtype=np.float16).reshape(2, 3)
    columns = {"resnet50": vectors, "alexnet": -vectors[:, :2]}
    dead = [{"stage": "extract", "record": "web/x", "reason": "empty", "detail": "zero bytes"}]
    tables = feature_tables(["b", "a"], columns, dead)
    assert tables["features"].column("image_id").to_pylist() == ["b", "a"]
    for name, expected in columns.items():
        np.testing.assert_array_equal(tables["features"].column(name).to_pylist(), expected)
    assert tables["features"].schema == features({"resnet50": 3, "alexnet": 2}).arrow
    assert tables["dead_letters"].schema == DEAD_LETTERS.arrow
    assert tables["dead_letters"].to_pylist() == dead


def test_unusable_rows_become_dead_letters_and_the_others_stay(encoded):
    config = ExtractConfig(image_size=32, max_pixels=200)
    good = encoded("red")
    damaged = {"b": b"", "c": b"no picture", "d": good[:50]}
    decoded = decode_rows(rows(a=good, **damaged, e=encoded("blue")), config)
    assert decoded.image_ids == [content_id(encoded(colour)) for colour in ("red", "blue")]
    assert decoded.pixel_NHWC.shape == (2, 32, 32, 3)
    assert decoded.pixel_NHWC[:, 0, 0].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert [(row["stage"], row["record"]) for row in decoded.dead.values()] == [
        ("extract", "web/b"),
        ("extract", "web/c"),
        ("extract", "web/d"),
    ]
    assert list(decoded.dead) == [1, 2, 3]
    assert [row["reason"] for row in decoded.dead.values()][:2] == ["empty", "not_an_image"]
    assert all(row.keys() == set(DEAD_LETTERS.arrow.names) for row in decoded.dead.values())


def test_bytes_that_are_not_those_of_the_id_are_refused(encoded):
    table = rows(a=encoded("red"), b=encoded("blue"))
    swapped = table.set_column(2, "image", table.column("image").take([1, 0]))
    with pytest.raises(UserError, match=r"web/a.*changed after it was ingested"):
        decode_rows(swapped, ExtractConfig(image_size=32))


def test_the_limits_of_the_configuration_hold(encoded):
    small = decode_rows(rows(a=encoded()), ExtractConfig(image_size=32, max_pixels=199))
    light = decode_rows(rows(a=encoded()), ExtractConfig(image_size=32, max_bytes=10))
    assert [row["reason"] for found in (small, light) for row in found.dead.values()] == [
        "too_many_pixels",
        "too_many_bytes",
    ]

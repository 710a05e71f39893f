"""Estimates are the sample, scaled."""

import pytest

from mmkrl.encoders.estimate import Sample, estimate

SAMPLE = Sample(
    images=100, read_bytes=10_000_000, decode_s=0.2, infer_s=0.05, dead=10, dimension=2048
)


def test_gpus_need_cores_beside_them():
    one, eight = estimate(SAMPLE, 7_200_000, [1, 8], gpu=True, hourly_price=2.0)
    assert one.hours == pytest.approx(7_200_000 * 0.0005 / 3600)
    assert eight.hours == pytest.approx(one.hours / 8)
    assert (one.decode_cores, eight.decode_cores) == (4, 32)
    assert one.cost == pytest.approx(eight.cost) == pytest.approx(one.hours * 2)
    assert one.output_mb == pytest.approx(7_200_000 * 0.9 * 2048 * 2 / 1e6)


def test_cores_decode_and_infer():
    (two,) = estimate(SAMPLE, 1000, [2], gpu=False, hourly_price=0.0)
    assert two.hours == pytest.approx(1000 * 0.0025 / 2 / 3600)
    assert (two.decode_cores, two.cost) == (2, 0.0)

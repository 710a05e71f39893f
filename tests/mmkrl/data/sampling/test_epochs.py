"""Shuffled epochs: every row once each, by a seed and a step alone."""

import numpy as np

from mmkrl.data.sampling.epochs import ShuffledEpochs


def test_every_row_once_an_epoch_whatever_the_batch():
    for size in (1, 4, 7, 23):
        epochs = ShuffledEpochs(7, seed=3)
        series = np.concatenate([epochs.batch("train", step, size) for step in range(21)])
        for start in range(0, len(series) - 7, 7):
            assert sorted(series[start : start + 7]) == list(range(7))
    assert series[:7].tolist() != series[7:14].tolist()


def test_batches_depend_on_series_step_and_seed_alone():
    one, two = ShuffledEpochs(50, seed=3), ShuffledEpochs(50, seed=3)
    for step in (9, 0, 4):
        one.batch("train", step, 8)
    assert np.array_equal(one.batch("train", 5, 8), two.batch("train", 5, 8))
    assert not np.array_equal(one.batch("warm", 5, 8), two.batch("train", 5, 8))
    assert not np.array_equal(
        ShuffledEpochs(50, seed=4).batch("train", 5, 8), two.batch("train", 5, 8)
    )
    whole, halves = one.batch("train", 2, 16), [two.batch("train", step, 8) for step in (4, 5)]
    assert np.array_equal(whole, np.concatenate(halves))

"""Steps by rows against plain loops."""

import numpy as np
import pytest

from mmkrl.kernels.row_updates import BALL, FREE, SPHERE, adagrad, descend, repeated

BOUNDS = pytest.mark.parametrize("bound", [FREE, BALL, SPHERE])


@pytest.fixture
def given():
    generator = np.random.default_rng(0)
    weight_ND = generator.normal(size=(9, 5)).astype(np.float32) * 0.5
    row_U = np.array([7, 0, 3, 4])
    weight_ND[4] = 0
    grad_UD = generator.normal(size=(4, 5)).astype(np.float32)
    grad_UD[3] = 0  # a row of zeros that stays
    return weight_ND, row_U, grad_UD


def held(row, bound):
    length = sum(x * x for x in row) ** 0.5
    if (bound == BALL and length > 1) or (bound == SPHERE and length > 0):
        return [x / length for x in row]
    return row


def check(weight_ND, before_ND, expected):
    for row in range(len(weight_ND)):
        wanted = expected.get(row, before_ND[row].tolist())
        assert weight_ND[row].tolist() == pytest.approx(wanted, rel=1e-5, abs=1e-7)
        if row not in expected:
            assert np.array_equal(weight_ND[row], before_ND[row])


@BOUNDS
def test_descend(given, bound):
    weight_ND, row_U, grad_UD = given
    before_ND, expected = weight_ND.copy(), {}
    for row, grads in zip(row_U.tolist(), grad_UD.tolist(), strict=True):
        moved = [w - 0.3 * s for w, s in zip(before_ND[row].tolist(), grads, strict=True)]
        expected[row] = held(moved, bound)
    descend(weight_ND, row_U, grad_UD, 0.3, bound)
    check(weight_ND, before_ND, expected)


@BOUNDS
def test_adagrad(given, bound):
    weight_ND, row_U, grad_UD = given
    sum_ND = np.abs(weight_ND) * 0.1
    before_ND, total_ND, expected = weight_ND.copy(), sum_ND.copy(), {}
    for row, grads in zip(row_U.tolist(), grad_UD.tolist(), strict=True):
        moved = []
        for d, grad in enumerate(grads):
            total_ND[row, d] += grad**2
            step = 0.3 * grad / (float(total_ND[row, d]) ** 0.5 + 1e-10)
            moved.append(float(before_ND[row, d]) - step)
        expected[row] = held(moved, bound)
    adagrad((weight_ND, sum_ND), row_U, grad_UD, 0.3, bound)
    check(weight_ND, before_ND, expected)
    np.testing.assert_allclose(sum_ND, total_ND, rtol=1e-6)


def test_repeated():
    assert not repeated(np.array([3, 0, 2]), 4)
    assert repeated(np.array([3, 0, 3]), 4)
    assert not repeated(np.zeros(0, np.int64), 4)

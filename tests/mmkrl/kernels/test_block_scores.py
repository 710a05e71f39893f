"""Fast scores are those of the definition but for rounding, for blocks of any shape."""

import numpy as np
import pytest

from mmkrl.kernels.block_scores import l1_scores, modulus_scores, order_scores

SHAPES = [(1, 1, 2), (3, 2, 6), (4, 5, 64), (66, 7, 50), (130, 33, 32)]


@pytest.mark.parametrize("shape", SHAPES)
def test_absolute_differences(shape):
    query_UD, candidate_BD, score_UB = random_block(*shape)
    l1_scores(query_UD, candidate_BD, score_UB)
    apart_UBD = query_UD[:, None].astype(float) - candidate_BD
    np.testing.assert_allclose(score_UB, -np.abs(apart_UBD).sum(axis=2), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_moduli(shape):
    query_UD, candidate_BD, score_UB = random_block(*shape)
    modulus_scores(query_UD, candidate_BD, score_UB)
    real_UBH, imaginary_UBH = np.split(query_UD[:, None].astype(float) - candidate_BD, 2, axis=2)
    expected = -np.abs(real_UBH + 1j * imaginary_UBH).sum(axis=2)
    np.testing.assert_allclose(score_UB, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_order_violations(shape):
    query_UD, candidate_BD, score_UB = random_block(*shape)
    order_scores(query_UD, candidate_BD, score_UB)
    excess_UBD = np.maximum(candidate_BD - query_UD[:, None].astype(float), 0)
    np.testing.assert_allclose(score_UB, -np.square(excess_UBD).sum(axis=2), rtol=1e-5)


def random_block(queries, candidates, width):
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(queries + candidates, width)).astype(np.float32)
    score_UB = np.full((queries, candidates), np.nan, np.float32)
    return vectors[:queries].copy(), vectors[queries:].copy(), score_UB

"""Exact scores are those of a plain Python loop, to the last bit."""

import numpy as np
import pytest

from mmkrl.kernels import pair_scores
from tests.mmkrl.evaluate.plain_triples import plain_score

NUMBERS = {
    "l1": pair_scores.L1,
    "l2": pair_scores.L2,
    "modulus": pair_scores.MODULUS,
    "dot": pair_scores.DOT,
    "order": pair_scores.ORDER,
}


@pytest.mark.parametrize("metric", NUMBERS)
def test_scores_equal_a_plain_loop(metric):
    generator = np.random.default_rng(0)
    scales = generator.choice([1e-20, 1e-3, 1.0, 1e6], (2, 30, 128))
    query_UD, candidate_ED = (generator.normal(size=(2, 30, 128)) * scales).astype(np.float32)
    row_Q, candidate_Q = generator.integers(0, 30, (2, 200))
    found = pair_scores.pair_scores(NUMBERS[metric], query_UD, candidate_ED, row_Q, candidate_Q)
    expected = [
        plain_score(metric, query_UD[row].tolist(), candidate_ED[candidate].tolist())
        for row, candidate in zip(row_Q, candidate_Q, strict=True)
    ]
    assert found.tolist() == expected

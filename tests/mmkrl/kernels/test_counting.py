"""Counting equals a loop; bounds that settle nothing and bounds that settle all give the same."""

import numpy as np
import pytest

from mmkrl.kernels.counting import Block, Others, Targets, count_block
from mmkrl.kernels.pair_scores import L1, pair_scores

QUERIES, CANDIDATES, TARGETS, FIRST = 4, 19, 30, 100


@pytest.fixture
def vectors():
    generator = np.random.default_rng(2)
    query_UD, candidate_BD = generator.integers(-1, 2, (2, CANDIDATES, 3)).astype(np.float32)
    return query_UD[:QUERIES].copy(), candidate_BD


@pytest.fixture
def others():
    """Ascending, each once; some lie in front of the block and some behind it."""
    generator = np.random.default_rng(3)
    ranges = [np.unique(generator.integers(FIRST - 5, FIRST + 30, 12)) for _ in range(TARGETS)]
    stop_Q = np.cumsum([len(each) for each in ranges])
    return Others(np.append(0, stop_Q[:-1]), stop_Q, np.concatenate(ranges))


def exact_block(query_UD, candidate_BD):
    rows = np.repeat(np.arange(QUERIES), CANDIDATES), np.tile(np.arange(CANDIDATES), QUERIES)
    return pair_scores(L1, query_UD, candidate_BD, *rows).reshape(QUERIES, CANDIDATES)


@pytest.mark.parametrize("doubt", [0.0, 0.5, np.inf, np.nan])
def test_counts_equal_a_loop(vectors, others, doubt):
    """However much is in doubt, and also where a fast score is not a number."""
    query_UD, candidate_BD = vectors
    score_UB = exact_block(query_UD, candidate_BD)
    generator = np.random.default_rng(4)
    row_Q = generator.integers(0, QUERIES, TARGETS)
    answer_Q = generator.integers(FIRST, FIRST + CANDIDATES, TARGETS)
    score_Q = score_UB[row_Q, answer_Q - FIRST]
    slack = np.float32(0 if np.isnan(doubt) else doubt)
    bounds = (score_Q - slack).astype(np.float32), (score_Q + slack).astype(np.float32)
    fast_UB = np.full_like(score_UB, np.nan) if np.isnan(doubt) else score_UB
    block = Block(L1, query_UD, candidate_BD, FIRST, fast_UB.astype(np.float32))
    count_Q4 = np.full((TARGETS, 4), 10)
    count_block(block, Targets(row_Q, answer_Q, score_Q, *bounds), others, count_Q4)
    for q in range(TARGETS):
        known = others.entity_K[others.start_Q[q] : others.stop_Q[q]]
        rest = [b for b in range(CANDIDATES) if FIRST + b != answer_Q[q]]
        above = [b for b in rest if score_UB[row_Q[q], b] > score_Q[q]]
        tied = [b for b in rest if score_UB[row_Q[q], b] == score_Q[q]]
        groups = (
            above,
            tied,
            [b for b in above if FIRST + b in known],
            [b for b in tied if FIRST + b in known],
        )
        assert (count_Q4[q] - 10).tolist() == [len(group) for group in groups]

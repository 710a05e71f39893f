"""Scores of a block of candidates for a block of queries, fast and in float32.

They are within a known distance of :func:`mmkrl.kernels.pair_scores.pair_score` and never decide
a rank by themselves. Inner products and Euclidean distances are matrix products and need no loop
of ours.
"""

from __future__ import annotations

import math

import numpy as np

from mmkrl.arrays import Float32Array
from mmkrl.kernels.compiled import in_any_order

_TILE = 64
"""Queries that stay in the fastest memory while all candidates pass by."""


@in_any_order
def l1_scores(query_UD: Float32Array, candidate_BD: Float32Array, score_UB: Float32Array) -> None:
    """Minus the sum of absolute differences of all pairs.

    Four queries and two candidates at a time, so that what is read is used more than once; past
    the end the last one is repeated.

    Args:
        query_UD: float32.
        candidate_BD: float32.
        score_UB: float32, overwritten.
    """
    last_u, last_b = len(query_UD) - 1, len(candidate_BD) - 1
    for tile in range(0, len(query_UD), _TILE):
        for b in range(0, len(candidate_BD), 2):
            c = min(b + 1, last_b)
            for u in range(tile, min(tile + _TILE, len(query_UD)), 4):
                v, w, x = min(u + 1, last_u), min(u + 2, last_u), min(u + 3, last_u)
                ub, vb, wb, xb = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                uc, vc, wc, xc = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for d in range(query_UD.shape[1]):
                    ub -= abs(query_UD[u, d] - candidate_BD[b, d])
                    vb -= abs(query_UD[v, d] - candidate_BD[b, d])
                    wb -= abs(query_UD[w, d] - candidate_BD[b, d])
                    xb -= abs(query_UD[x, d] - candidate_BD[b, d])
                    uc -= abs(query_UD[u, d] - candidate_BD[c, d])
                    vc -= abs(query_UD[v, d] - candidate_BD[c, d])
                    wc -= abs(query_UD[w, d] - candidate_BD[c, d])
                    xc -= abs(query_UD[x, d] - candidate_BD[c, d])
                score_UB[u, b], score_UB[v, b], score_UB[w, b], score_UB[x, b] = ub, vb, wb, xb
                score_UB[u, c], score_UB[v, c], score_UB[w, c], score_UB[x, c] = uc, vc, wc, xc


@in_any_order
def modulus_scores(
    query_UD: Float32Array, candidate_BD: Float32Array, score_UB: Float32Array
) -> None:
    """Minus the sum of the moduli of the complex differences of all pairs.

    Args:
        query_UD: float32, all real parts, then all imaginary ones.
        candidate_BD: float32, likewise.
        score_UB: float32, overwritten.
    """
    half = query_UD.shape[1] // 2
    for tile in range(0, len(query_UD), _TILE):
        for b in range(len(candidate_BD)):
            for u in range(tile, min(tile + _TILE, len(query_UD))):
                total = np.float32(0)
                for d in range(half):
                    real = query_UD[u, d] - candidate_BD[b, d]
                    imaginary = query_UD[u, half + d] - candidate_BD[b, half + d]
                    total -= math.sqrt(real * real + imaginary * imaginary)
                score_UB[u, b] = total


@in_any_order
def order_scores(
    query_UD: Float32Array, candidate_BD: Float32Array, score_UB: Float32Array
) -> None:
    """Minus the sum of the squares by which candidates exceed queries, of all pairs.

    Tiled as :func:`l1_scores`.

    Args:
        query_UD: float32.
        candidate_BD: float32.
        score_UB: float32, overwritten.
    """
    nought = np.float32(0)
    last_u, last_b = len(query_UD) - 1, len(candidate_BD) - 1
    for tile in range(0, len(query_UD), _TILE):
        for b in range(0, len(candidate_BD), 2):
            c = min(b + 1, last_b)
            for u in range(tile, min(tile + _TILE, len(query_UD)), 4):
                v, w, x = min(u + 1, last_u), min(u + 2, last_u), min(u + 3, last_u)
                ub, vb, wb, xb = nought, nought, nought, nought
                uc, vc, wc, xc = nought, nought, nought, nought
                for d in range(query_UD.shape[1]):
                    ub -= max(candidate_BD[b, d] - query_UD[u, d], nought) ** 2
                    vb -= max(candidate_BD[b, d] - query_UD[v, d], nought) ** 2
                    wb -= max(candidate_BD[b, d] - query_UD[w, d], nought) ** 2
                    xb -= max(candidate_BD[b, d] - query_UD[x, d], nought) ** 2
                    uc -= max(candidate_BD[c, d] - query_UD[u, d], nought) ** 2
                    vc -= max(candidate_BD[c, d] - query_UD[v, d], nought) ** 2
                    wc -= max(candidate_BD[c, d] - query_UD[w, d], nought) ** 2
                    xc -= max(candidate_BD[c, d] - query_UD[x, d], nought) ** 2
                score_UB[u, b], score_UB[v, b], score_UB[w, b], score_UB[x, b] = ub, vb, wb, xb
                score_UB[u, c], score_UB[v, c], score_UB[w, c], score_UB[x, c] = uc, vc, wc, xc

"""Scores of queries against a gallery under the inner product, one batch of queries at a time.

The product is accumulated in float64 and rounded once to float32, so that scores depend neither on
the batch, nor on the position of an item in the gallery, nor on a reduced-precision matrix mode
(TF32) that training may have switched on: equal gallery rows tie, which float32 kernels do not
promise.
(A product within about 1e-16 of a rounding boundary could still differ: one in some 1e9.)
Nothing is ranked here, and vectors are used as given: pass unit vectors for cosines.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from mmkrl.errors import UserError

CHUNK = 1024
"""Default number of queries scored at once; peak memory is about 40 bytes x chunk x gallery."""


def score_chunks(
    query_QD: Tensor,
    gallery_GD: Tensor,
    *,
    exclude_self: Tensor | None = None,
    chunk: int = CHUNK,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Score every gallery item for successive batches of queries.

    Args:
        query_QD: shape (queries, D), floating.
        gallery_GD: shape (gallery, D), floating, on the device of the queries.
        exclude_self: shape (queries,), int64; the gallery index removed for each query, -1 for
            none. A removed item scores -inf.
        chunk: queries per batch.

    Yields:
        Indices of the batch's queries, int64 on the CPU, and their scores, shape (chunk, gallery),
        float32 on the device of the queries. The scores are the caller's to modify.

    Raises:
        UserError: an empty pool, unequal widths, a value that is not finite, a bad exclusion.
    """
    _check_pools(query_QD, gallery_GD)
    excluded_Q = _checked_exclusion(exclude_self, len(query_QD), len(gallery_GD))
    if chunk < 1:
        raise UserError(f"chunk is {chunk}: give at least 1 query")
    gallery_DG = gallery_GD.double().T
    for start in range(0, len(query_QD), chunk):
        index_Q = torch.arange(start, min(start + chunk, len(query_QD)))
        score_QG = (query_QD[start : start + chunk].double() @ gallery_DG).float()
        row_E = (excluded_Q[index_Q] >= 0).nonzero().squeeze(1)
        column_E = excluded_Q[index_Q][row_E]
        score_QG[row_E.to(score_QG.device), column_E.to(score_QG.device)] = -torch.inf
        yield index_Q, score_QG


def _check_pools(query_QD: Tensor, gallery_GD: Tensor) -> None:
    for name, tensor in (("queries", query_QD), ("gallery", gallery_GD)):
        if tensor.ndim != 2 or not tensor.is_floating_point():
            raise UserError(
                f"{name}: shape {tuple(tensor.shape)}, type {tensor.dtype}: "
                "give floating vectors of shape (N, D)"
            )
        if len(tensor) == 0:
            raise UserError(f"{name}: empty; there is nothing to rank")
        if not bool(tensor.isfinite().all()):
            bad = int((~tensor.isfinite().all(dim=1)).sum())
            raise UserError(f"{name}: {bad} of {len(tensor)} vectors hold NaN or infinity")
    if query_QD.shape[1] != gallery_GD.shape[1]:
        raise UserError(
            f"queries have {query_QD.shape[1]} dimensions, the gallery {gallery_GD.shape[1]}: "
            "both must come from the same space"
        )


def _checked_exclusion(exclude_self: Tensor | None, queries: int, gallery: int) -> Tensor:
    if exclude_self is None:
        return torch.full((queries,), -1)
    excluded_Q = exclude_self.cpu()
    if excluded_Q.shape != (queries,) or excluded_Q.dtype != torch.int64:
        raise UserError(
            f"exclude_self has shape {tuple(excluded_Q.shape)} and type {excluded_Q.dtype}: "
            f"give int64 of shape ({queries},), one gallery index per query or -1"
        )
    if not bool(((excluded_Q >= -1) & (excluded_Q < gallery)).all()):
        raise UserError(f"exclude_self must lie in -1 to {gallery - 1}, the gallery's last index")
    return excluded_Q

"""Batches larger than memory: activations of a few rows at a time, the gradients of all.

A loss over a large batch needs the vectors of all its rows, which are small, but not their
encoders' activations, which are not. Gao et al. 2021 ("Scaling deep contrastive learning batch size
under memory limited setup", GradCache) encode all rows without gradient, take the loss's gradient
at the vectors, and encode again, one micro-batch after the other, to pass it on. Checkpointed
micro-batches do just that within one ordinary backward pass, and so need no loop of their own.
Their masks must be functions of a row's place (:mod:`mmkrl.train.dropout`), so that a row drops the
same numbers both times.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_micro_batches(
    encode: Callable[[slice], Tensor], rows: int, micro_batch_size: int | None
) -> Tensor:
    """Encode rows with the activations of one micro-batch in memory.

    Args:
        encode: Gives the vectors of some rows; a function of its argument and of the weights alone.
        rows: How many there are.
        micro_batch_size: Rows of a micro-batch; None encodes all at once.

    Returns:
        Vectors of all rows, with the gradients they would have if encoded at once.
    """
    if micro_batch_size is None or rows <= micro_batch_size or not torch.is_grad_enabled():
        return encode(slice(0, rows))
    starts = range(0, rows, micro_batch_size)
    parts = [slice(start, min(start + micro_batch_size, rows)) for start in starts]
    return torch.cat(
        [checkpoint(encode, part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    )

"""Batches larger than memory (GradCache): gradient checkpointing by micro-batches.

A loss over a large batch needs the vectors of all its rows, which are small, but not their
encoders' activations, which are not. Gao et al. 2021 ("Scaling deep contrastive learning batch size
under memory limited setup", GradCache) encode all rows without gradient, take the loss's gradient
at the vectors, and encode again, one micro-batch after the other, to pass it on. Checkpointed
micro-batches do just that within one ordinary backward pass, and so need no loop of their own.
Their masks must be functions of a row's position (:mod:`mmkrl.train.dropout`), so that a row drops
the same numbers both times.
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
        encode: The vectors of a range of rows; a function of its argument and the weights alone.
        rows: How many there are.
        micro_batch_size: Rows of a micro-batch; None encodes all at once.

    Returns:
        Vectors of all rows, with the gradients they would have if encoded at once.
    """
    if micro_batch_size is None or rows <= micro_batch_size or not torch.is_grad_enabled():
        return encode(slice(0, rows))
    starts = range(0, rows, micro_batch_size)
    parts = [slice(start, min(start + micro_batch_size, rows)) for start in starts]
    # The reentrant form gives gradients only to what depends on its tensor arguments, and here they
    # are slices. No random generator is read (masks depend on positions), so none is restored.
    return torch.cat(
        [checkpoint(encode, part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    )

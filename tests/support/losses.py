"""Losses that several processes logged beside those that one process logged."""


def paired_losses(one, first, second):
    """The (of one process, of two) losses step by step, after checks that the same was logged."""
    assert second["measurements"] == []  # rank 0 alone logs
    left, right = one["measurements"], first["measurements"]
    assert [m[:2] for m in left] == [m[:2] for m in right]
    return [(a, b) for a, b in zip(left, right, strict=True) if a[1].startswith("loss_")]

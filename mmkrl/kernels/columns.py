"""Which column of a triple holds what."""

HEAD, RELATION, TAIL = 0, 1, 2

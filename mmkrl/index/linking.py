"""Free text as a relationship: "woman firefighter" is (woman, as_role, fire engine).

Every subject is tried with every predicate and object seen together; the triple whose words lie
closest to the query's words wins. Ours, and deliberately simple: it needs word vectors alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmkrl.data.words import WordVectors, tokens
from mmkrl.errors import UserError

Triple = tuple[str, str, str]
_SEPARATOR = "|"


@dataclass(frozen=True)
class Linker:
    """Knows the vocabulary of a space.

    Attributes:
        words: Word vectors.
        triples: The relationships whose parts may be combined.
    """

    words: WordVectors
    triples: Sequence[Triple]

    def link(self, text: str) -> Triple:
        """The relationship a text means.

        Args:
            text: ``subject | predicate | object`` taken literally, or free text.

        Raises:
            UserError: the text is malformed, or none of its words is known.
        """
        if _SEPARATOR in text:
            return _explicit(text)
        if not set(tokens(text)) & self.words.index.keys():
            raise UserError(
                f"query {text!r}: none of its words has a vector; use other words, or name the "
                "parts as 'subject | predicate | object'"
            )
        subjects = sorted({subject for subject, _, _ in self.triples})
        ends = sorted({(predicate, end) for _, predicate, end in self.triples})
        score_SE = self._scores(text, subjects, ends)
        subject, end = np.unravel_index(int(score_SE.argmax()), score_SE.shape)
        return (subjects[subject], *ends[end])

    def _scores(
        self, text: str, subjects: list[str], ends: list[tuple[str, str]]
    ) -> npt.NDArray[np.float32]:
        """Cosine between the mean word of the query and of each subject and object together."""
        query_W = _unit(self._sum(text)[0])
        subject_SW, subject_S = self._sums(subjects)
        object_EW, object_E = self._sums([end for _, end in ends])
        dot_SE = (subject_SW @ query_W)[:, None] + (object_EW @ query_W)[None, :]
        inner_SE = subject_SW @ object_EW.T
        square_SE = subject_S[:, None] + object_E[None, :] + 2 * inner_SE
        score: npt.NDArray[np.float32] = dot_SE / np.sqrt(np.maximum(square_SE, 1e-9))
        return score

    def _sums(
        self, texts: list[str]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        vectors = np.stack([self._sum(text)[0] for text in texts])
        return vectors, np.square(vectors).sum(axis=1)

    def _sum(self, text: str) -> tuple[npt.NDArray[np.float32], int]:
        known = sum(word in self.words.index for word in tokens(text))
        return self.words.phrase(text) * known, known


def _explicit(text: str) -> Triple:
    parts = [part.strip() for part in text.split(_SEPARATOR)]
    if len(parts) != 3 or not all(parts):
        raise UserError(f"query {text!r}: expected 'subject | predicate | object'")
    return parts[0], parts[1], parts[2]


def _unit(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    unit: npt.NDArray[np.float32] = vector / max(float(np.linalg.norm(vector)), 1e-9)
    return unit

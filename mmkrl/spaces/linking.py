"""Free text as a relationship: "woman firefighter" is (woman, as_role, fire engine).

The text is cut in two at every position; the first part is compared with every subject, the second
with every (predicate, object) seen together, by cosine of mean word vectors, and the best cut
wins. Ours, and deliberately simple: it needs word vectors alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmkrl.arrays import Float32Array
from mmkrl.data.views.words import WordVectors, tokens
from mmkrl.errors import UserError

Triple = tuple[str, str, str]
_SEPARATOR = "|"
_ARTICLES = frozenset(("a", "an", "the"))


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
            UserError: the text is malformed, or fewer than two of its words are known.
        """
        if _SEPARATOR in text:
            return _explicit(text)
        known = [w for w in tokens(text) if w in self.words.index and w not in _ARTICLES]
        if len(known) < 2:
            raise UserError(
                f"query {text!r}: at least two known words are needed, for a subject and for what "
                "is said of it; or name the parts as 'subject | predicate | object'"
            )
        subjects = sorted({subject for subject, _, _ in self.triples})
        ends = sorted({(predicate, end) for _, predicate, end in self.triples})
        subject_SW = self._unit(subjects)
        object_EW = self._unit([end for _, end in ends])
        phrase_EW = self._unit([f"{predicate} {end}" for predicate, end in ends])
        best = (-np.inf, 0, 0)
        for cut in range(1, len(known)):
            head_W, rest_W = self._unit([" ".join(known[:cut]), " ".join(known[cut:])])
            subject_S = subject_SW @ head_W
            end_E = np.maximum(object_EW @ rest_W, phrase_EW @ rest_W)
            s, e = int(subject_S.argmax()), int(end_E.argmax())
            best = max(best, (float(subject_S[s] + end_E[e]), s, e))
        return (subjects[best[1]], *ends[best[2]])

    def _unit(self, texts: list[str]) -> Float32Array:
        """Unit mean word vectors; zeros where no word is known. Shape (len(texts), W)."""
        vector_TW = np.stack([self.words.phrase(text) for text in texts])
        norm_T1 = np.linalg.norm(vector_TW, axis=1, keepdims=True)
        unit: Float32Array = vector_TW / np.maximum(norm_T1, 1e-9)
        return unit


def _explicit(text: str) -> Triple:
    parts = [part.strip() for part in text.split(_SEPARATOR)]
    if len(parts) != 3 or not all(parts):
        raise UserError(f"query {text!r}: expected 'subject | predicate | object'")
    return parts[0], parts[1], parts[2]

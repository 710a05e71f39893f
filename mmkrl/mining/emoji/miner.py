"""A miner for the emoji corpus: an image's alt text is an emoji, and composed emoji state facts.

The parts are called by their names (the titles of their own pictures), never by the name of the
whole: "woman firefighter" would give its relationship away.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import pyarrow as pa

from mmkrl.mining.candidates import Finding, NotUsable, Texts
from mmkrl.mining.emoji.sequences import compose, strip_tones
from mmkrl.mining.text_miner import TextMiner


@dataclass(frozen=True)
class EmojiMiner(TextMiner):
    """Reads composed emoji.

    Attributes:
        names: Name by emoji: the title that most of its pictures have in the corpus.
    """

    names: dict[str, str]

    @classmethod
    def from_texts(cls, texts: pa.Table) -> EmojiMiner:
        """A miner that knows the names that a corpus's texts give its emoji.

        Args:
            texts: Table ``texts``; alt and title of a record share their uri.
        """
        emoji: dict[str, set[str]] = defaultdict(set)
        titles: list[tuple[str, str]] = []
        for row in texts.select(["uri", "kind", "text"]).to_pylist():
            if row["kind"] == "alt":
                emoji[row["uri"]].add(row["text"])
            elif row["kind"] == "title":
                titles.append((row["uri"], row["text"]))
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for uri, title in titles:
            if len(emoji[uri]) == 1:
                counts[min(emoji[uri])][title] += 1
        return cls({key: _most_common(given) for key, given in counts.items()})

    def __call__(self, texts: Texts) -> Finding:
        """The relationship an emoji is composed of, or the isolated entity it shows.

        Raises:
            NotUsable: no emoji, or a part without a name of its own.
        """
        if not texts.get("alt"):
            raise NotUsable("no_text", "the image has no alt text")
        emoji, *others = sorted(set(texts["alt"]))
        if others:
            raise NotUsable("ambiguous", f"alt texts {emoji} and {', '.join(others)}")
        composition = compose(emoji)
        if composition is None:
            return Finding(self._name(emoji))
        pair = sorted({strip_tones(composition.subject), strip_tones(composition.object)})
        return Finding(
            subject=self._name(composition.subject),
            predicate=composition.predicate,
            object=self._name(composition.object),
            pair=" + ".join(self._name(part) for part in pair),
        )

    def _name(self, emoji: str) -> str:
        try:
            return self.names[emoji]
        except KeyError:
            raise NotUsable("ungrounded", f"{emoji} has no picture with a title") from None


def _most_common(titles: Counter[str]) -> str:
    """The title given most often; among equals the first of the alphabet."""
    return min(titles, key=lambda title: (-titles[title], title))

"""A miner of titles such as "red circle": a circle has the colour red."""

from mmkrl.mining.candidates import Finding, NotUsable
from mmkrl.mining.text_miner import TextMiner


class ColourMiner(TextMiner):
    """Titles of two words."""

    @classmethod
    def from_texts(cls, texts):
        return cls()

    def __call__(self, texts):
        words = " ".join(texts.get("title", [])).split()
        if len(words) != 2:
            raise NotUsable("no_colour", f"{len(words)} words, expected two")
        colour, thing = words
        return Finding(thing, "has colour", colour, pair=f"{thing} + {colour}")

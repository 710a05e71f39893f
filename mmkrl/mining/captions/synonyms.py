"""Nouns that mean the same, by WordNet, whose files are read as they are (WNDB(5WN)).

Two nouns are one entity if the most frequent sense of both is the same synset. Less frequent
senses would make a crane a bird; synonyms among them are not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mmkrl.errors import UserError

_SENSES, _COUNTS = "index.noun", "cntlist.rev"
_NOUN, _FIRST = "%1:", "1"
_ADVICE = "name the folder with WordNet's index.noun and cntlist.rev, or leave the setting out"
Value = TypeVar("Value")


@dataclass(frozen=True)
class Names:
    """What entities and predicates are called.

    Attributes:
        same: Names that the user gives to entities and predicates; they come first.
        synonyms: The usual names of entities.
    """

    same: Mapping[str, str]
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def entity(self, name: str) -> str:
        """The usual name of a subject or object."""
        named = self.same.get(name, name)
        return self.synonyms.get(named, named)

    def predicate(self, name: str) -> str:
        """The usual name of a predicate."""
        return self.same.get(name, name)


def noun_synonyms(folder: str) -> dict[str, str]:
    """The usual name of every noun that has a more usual one.

    Args:
        folder: WordNet's ``dict``, with ``index.noun`` and ``cntlist.rev``.

    Returns:
        By noun, that noun of the same first sense which WordNet's tagged texts have most often; of
        several, the first by the alphabet.

    Raises:
        UserError: a file is missing or is not WordNet's.
    """
    counts = dict(_read(Path(folder) / _COUNTS, _first_count))
    synsets: dict[str, list[str]] = defaultdict(list)
    for noun, synset in _read(Path(folder) / _SENSES, _first_synset):
        synsets[synset].append(noun)
    usual = {
        noun: max(sorted(nouns), key=lambda one: counts.get(one, 0))
        for nouns in synsets.values()
        for noun in nouns
    }
    return {noun: name for noun, name in usual.items() if noun != name}


def _first_synset(line: str) -> tuple[str, str] | None:
    """A noun with the synset of its first sense: as many synsets as it has senses end the line."""
    if line.startswith(" "):  # the licence
        return None
    noun, _, senses, *rest = line.split()
    return noun.replace("_", " "), rest[-int(senses)]


def _first_count(line: str) -> tuple[str, int] | None:
    """How often a noun occurs in its first sense."""
    key, sense, count = line.split()
    noun, is_noun, _ = key.partition(_NOUN)
    return (noun.replace("_", " "), int(count)) if is_noun and sense == _FIRST else None


def _read(path: Path, parse: Callable[[str], tuple[str, Value] | None]) -> list[tuple[str, Value]]:
    """What the lines of a file say, as far as it is wanted."""
    try:
        found = [parse(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise UserError(
            f"mine.captions.wordnet: {path} cannot be read ({error.strerror}); {_ADVICE}"
        ) from None
    except (ValueError, IndexError):
        raise UserError(
            f"mine.captions.wordnet: {path} is not as WordNet has it; {_ADVICE}"
        ) from None
    return [one for one in found if one is not None]

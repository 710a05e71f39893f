"""Which emoji sequences exist, and their English names and keywords.

Sequences are the union of emoji-datasource's ``emoji.json`` (fully qualified, Emoji 16) and
OpenMoji's list, which adds Emoji 17 and the hair components. Names are the Unicode CLDR's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from examples.emoji.packages import NpmPackage, read_json
from mmkrl.errors import UserError
from mmkrl.mining.emoji.sequences import from_code_points, unqualified

EMOJI_DATA: Final = NpmPackage("emoji-datasource", "16.0.0")
OPENMOJI: Final = NpmPackage("openmoji", "17.0.0")
ANNOTATIONS: Final = NpmPackage("cldr-annotations-full", "48.2.0")
DERIVED_ANNOTATIONS: Final = NpmPackage("cldr-annotations-derived-full", "48.2.0")


@dataclass(frozen=True, slots=True)
class EmojiName:
    """English name and keywords of one emoji, as the CLDR gives them."""

    title: str
    keywords: tuple[str, ...]


def read_sequences(directory: Path) -> frozenset[str]:
    """Return every standard emoji sequence, fully qualified.

    Raises:
        UserError: a tarball is missing or does not have the expected form.
    """
    known = {unqualified(sequence): sequence for sequence in _openmoji_sequences(directory)}
    known |= {unqualified(sequence): sequence for sequence in _datasource_sequences(directory)}
    return frozenset(known.values())


def read_names(directory: Path) -> dict[str, EmojiName]:
    """Return the names by unqualified sequence; emoji the CLDR does not name are left out.

    Raises:
        UserError: a tarball is missing or does not have the expected form.
    """
    names: dict[str, EmojiName] = {}
    for package, kind in (
        (ANNOTATIONS, "annotations"),
        (DERIVED_ANNOTATIONS, "annotationsDerived"),
    ):
        content = read_json(package, directory, f"{kind}/en/annotations.json")
        try:
            entries: dict[str, Any] = content[kind]["annotations"]
        except (KeyError, TypeError):
            raise UserError(f"{package.tarball} has no {kind}.annotations") from None
        for sequence, entry in entries.items():
            if "tts" in entry:
                keywords = tuple(entry.get("default", ()))
                names[unqualified(sequence)] = EmojiName(entry["tts"][0], keywords)
    return names


def read_subgroups(directory: Path) -> dict[str, tuple[str, str]]:
    """Return subgroup and group of every standard emoji, by unqualified sequence.

    They are the Unicode Consortium's (``cat-face`` of ``smileys-emotion``), as OpenMoji lists them.

    Raises:
        UserError: the tarball is missing or does not have the expected form.
    """
    try:
        return {
            unqualified(from_code_points(entry["hexcode"])): (entry["subgroups"], entry["group"])
            for entry in read_json(OPENMOJI, directory, "data/openmoji.json")
            if not entry["group"].startswith("extras")
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"openmoji.json in {OPENMOJI.tarball} is malformed: {error!r}") from None


def _datasource_sequences(directory: Path) -> Iterator[str]:
    try:
        for entry in read_json(EMOJI_DATA, directory, "emoji.json"):
            for form in (entry, *entry.get("skin_variations", {}).values()):
                yield from_code_points(form["unified"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"emoji.json in {EMOJI_DATA.tarball} is malformed: {error!r}") from None


def _openmoji_sequences(directory: Path) -> Iterator[str]:
    try:
        for entry in read_json(OPENMOJI, directory, "data/openmoji.json"):
            if not entry["group"].startswith("extras"):
                yield from_code_points(entry["hexcode"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"openmoji.json in {OPENMOJI.tarball} is malformed: {error!r}") from None

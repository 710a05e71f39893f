"""The grammar of composed emoji: a sequence of code points read as one relationship of two emoji.

``👩🏿‍🚒`` is (``👩🏿``, as_role, ``🚒``) and ``👫🏽`` is (``👩🏽``, holds_hands_with, ``👨🏽``).
This module knows the grammar and nothing else: it does not know which sequences exist, how they
are called or what they look like, and it uses the standard library only.

Two decisions a reader should know about:

- Couples that have a code point of their own (👭 👫 👬 💏 💑 👯 🤼 🤝) state the same relationship
  as the long forms with two tones, so they are read that way, not as an emoji ``with_skin_tone``.
  Counts of the long forms alone are therefore lower by six for each of these eight emoji, and
  counts of ``with_skin_tone`` that include them higher by forty.
- Families are not composed: most vendors draw them as one grey pictogram, so the members cannot be
  seen in the picture, and a family of four has no two parts that are emoji themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

ZWJ: Final = "\u200d"
EMOJI_PRESENTATION: Final = "\ufe0f"
SKIN_TONES: Final = ("🏻", "🏼", "🏽", "🏾", "🏿")
PREDICATES: Final = (
    "as_role",
    "bunny_ears_with",
    "combined_with",
    "couple_with_heart",
    "faces_direction",
    "holds_hands_with",
    "kisses",
    "shakes_hand",
    "with_gender",
    "with_hair",
    "with_skin_tone",
    "wrestles",
)

_TONE: Final = re.compile("[🏻-🏿]")
_ADULTS: Final = frozenset("🧑👩👨")
_CHILDREN: Final = frozenset("🧒👧👦👶")
_HAIR: Final = frozenset("🦰🦱🦲🦳")
_GENDERS: Final = frozenset("♀♂")
_DIRECTIONS: Final = frozenset("➡")
# Code points inside composed emoji that are text unless the emoji presentation selector follows.
_TEXT_BY_DEFAULT: Final = frozenset("☝⛹✌✍🏋🏌🕴🕵🖐♀♂⚕⚖✈➡❤⚧☠❄👁🗨🏳🌫↔↕⛓")
_BETWEEN: Final = {
    ("❤",): "couple_with_heart",
    ("❤", "💋"): "kisses",
    ("🤝",): "holds_hands_with",
    ("🐰",): "bunny_ears_with",
    ("🫯",): "wrestles",
}
_SINGLE_CODE_POINT: Final = {
    "👭": ("👩", "holds_hands_with", "👩"),
    "👫": ("👩", "holds_hands_with", "👨"),
    "👬": ("👨", "holds_hands_with", "👨"),
    "💏": ("🧑", "kisses", "🧑"),
    "💑": ("🧑", "couple_with_heart", "🧑"),
    "👯": ("🧑", "bunny_ears_with", "🧑"),
    "🤼": ("🧑", "wrestles", "🧑"),
    "🤝": ("🫱", "shakes_hand", "🫲"),
}
# Without tones these long forms are not emoji: the short form is.
_SHORT_FORM: Final = {
    "👩‍🤝‍👩": "👭",
    "👩‍🤝‍👨": "👫",
    "👨‍🤝‍👨": "👬",
    "🧑‍❤️‍💋‍🧑": "💏",
    "🧑‍❤️‍🧑": "💑",
    "🫱‍🫲": "🤝",
    "🧑‍🐰‍🧑": "👯",
    "👩‍🐰‍👩": "👯‍♀️",
    "👨‍🐰‍👨": "👯‍♂️",
    "🧑‍🫯‍🧑": "🤼",
    "👩‍🫯‍👩": "🤼‍♀️",
    "👨‍🫯‍👨": "🤼‍♂️",
}


@dataclass(frozen=True, slots=True)
class Composition:
    """One composed emoji as a triple; both parts are fully-qualified emoji of their own."""

    subject: str
    predicate: str
    object: str


def compose(sequence: str) -> Composition | None:
    """Return the one relationship a composed emoji states, or None for an isolated emoji.

    The first rule that applies wins: direction, couple or handshake, hair, gender, role, skin
    tone, and any other pair of emoji joined by a zero-width joiner. Any qualification of
    ``sequence`` is accepted; the parts are always fully qualified.
    """
    elements = tuple(_qualified(element) for element in sequence.split(ZWJ))
    if not all(elements):
        return None
    if len(elements) > 1 and _bare(elements[-1]) in _DIRECTIONS:
        return Composition(ZWJ.join(elements[:-1]), "faces_direction", elements[-1])
    if len(elements) == 1:
        return _compose_single(elements[0])
    return _compose_couple(elements) or _compose_pair(elements)


def strip_tones(sequence: str) -> str:
    """Return ``sequence`` without any skin tone, as the fully-qualified emoji that remains.

    Couples whose untoned form is a single code point become it: ``👩🏻‍🤝‍👨🏿`` gives ``👫``. A tone
    swatch alone (``🏿``) is an emoji of its own and stays.
    """
    if sequence in SKIN_TONES:
        return sequence
    elements = (_qualified(_TONE.sub("", element)) for element in sequence.split(ZWJ))
    untoned = ZWJ.join(elements)
    return _SHORT_FORM.get(untoned, untoned)


def code_points(sequence: str) -> str:
    """Return the lower-case hexadecimal name of a sequence, ``1f469-1f3ff-200d-1f692``."""
    return "-".join(f"{ord(character):04x}" for character in sequence)


def from_code_points(name: str) -> str:
    """Return the characters of a hexadecimal name; raise ValueError when it is not one."""
    try:
        return "".join(chr(int(point, 16)) for point in name.split("-"))
    except OverflowError as error:
        raise ValueError(f"{name} holds a number that is no code point") from error


def unqualified(sequence: str) -> str:
    """Return ``sequence`` without presentation selectors: the key vendors' file names agree on."""
    return sequence.replace(EMOJI_PRESENTATION, "")


def _compose_single(element: str) -> Composition | None:
    base, tone = _split_tone(element)
    if base in _SINGLE_CODE_POINT:
        subject, predicate, object_ = _SINGLE_CODE_POINT[base]
        return Composition(subject + tone, predicate, object_ + tone)
    if base and tone:
        return Composition(_qualified(base), "with_skin_tone", tone)
    return None


def _compose_couple(elements: tuple[str, ...]) -> Composition | None:
    first, *between, last = elements
    if (_untoned(first), _untoned(last)) == ("🫱", "🫲") and not between:
        return Composition(first, "shakes_hand", last)
    predicate = _BETWEEN.get(tuple(_bare(element) for element in between))
    if predicate is None or not {_untoned(first), _untoned(last)} <= _ADULTS:
        return None
    return Composition(first, predicate, last)


def _compose_pair(elements: tuple[str, ...]) -> Composition | None:
    if len(elements) != 2:
        return None
    subject, object_ = elements
    sign = _bare(object_)
    if sign in _HAIR:
        return Composition(subject, "with_hair", object_)
    if sign in _GENDERS:
        return Composition(subject, "with_gender", object_)
    if _untoned(object_) in _ADULTS | _CHILDREN:
        return None
    if _untoned(subject) in _ADULTS:
        return Composition(subject, "as_role", object_)
    return Composition(subject, "combined_with", object_)


def _split_tone(element: str) -> tuple[str, str]:
    tone = _TONE.search(element)
    return _untoned(element), tone.group() if tone else ""


def _untoned(element: str) -> str:
    return _TONE.sub("", _bare(element))


def _bare(element: str) -> str:
    return element.replace(EMOJI_PRESENTATION, "")


def _qualified(element: str) -> str:
    bare = _bare(element)
    return bare + EMOJI_PRESENTATION if bare in _TEXT_BY_DEFAULT else element

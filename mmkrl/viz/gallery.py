"""A page of pictures: one self-contained HTML file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

_STARTS = (
    (b"\x89PNG", "png"),
    (b"\xff\xd8", "jpeg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
)


@dataclass(frozen=True)
class Picture:
    """One picture on the page.

    Attributes:
        image: Encoded bytes; empty for a caption without a picture.
        caption: Text below it.
        mark: ``right``, ``wrong`` or empty: how it is framed.
    """

    image: bytes
    caption: str
    mark: str = ""

    @property
    def data(self) -> str:
        """The bytes as base64."""
        return base64.b64encode(self.image).decode()

    @property
    def format(self) -> str:
        """The image's MIME subtype, from its first bytes."""
        return next((name for start, name in _STARTS if self.image.startswith(start)), "webp")


@dataclass(frozen=True)
class Shelf:
    """A row of pictures under a heading."""

    heading: str
    pictures: Sequence[Picture]


def gallery(title: str, note: str, shelves: Sequence[Shelf]) -> str:
    """The page as HTML; all text is escaped."""
    import jinja2

    template = resources.files(__package__).joinpath("gallery.html.jinja").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(title=title, note=note, shelves=shelves)

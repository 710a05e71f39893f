"""Pictures of emoji by five openly licensed vendors, as 64 px RGB images on white.

Vendors name their files by code points, some with presentation selectors and some without, so
pictures are looked up by the unqualified sequence. Apple's, Facebook's and JoyPixels' art is in
npm too, but not openly licensed, and is deliberately not here.

``@lobehub/fluent-emoji-3d`` 1.1.0 files most of its skin tones wrongly: of 224 sets of five tones,
215 have medium-light and medium exchanged, and those of 🚵 are out of order altogether. In the
other four vendors' art the medium-light picture is the lighter one of the two without exception,
so lightness is what the tones of that package are told by.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageStat, UnidentifiedImageError

from examples.emoji.names import OPENMOJI
from examples.emoji.packages import NpmPackage, read_json, read_members
from mmkrl.errors import UserError
from mmkrl.mining.emoji.sequences import SKIN_TONES, from_code_points, unqualified

_LOG = logging.getLogger(__name__)

SIDE_PX: Final = 64
_RENDER_PX: Final = 2 * SIDE_PX
_SVG: Final = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{body}</svg>'

Pictures = Iterator[tuple[str, bytes]]
Art = dict[str, Image.Image]


def _as_filed(art: Art) -> Art:
    return art


@dataclass(frozen=True, slots=True)
class Vendor:
    """One source of pictures: its package, its licence, how to find its files and mend them."""

    source: str
    license: str
    package: NpmPackage
    pictures: Callable[[NpmPackage, Path], Pictures]
    mend: Callable[[Art], Art] = _as_filed


def read_art(vendor: Vendor, directory: Path, sequences: Collection[str]) -> Art:
    """Return the pictures by fully-qualified sequence, for the sequences this vendor has drawn.

    Raises:
        UserError: the vendor's tarball is missing, damaged, or holds an unreadable picture.
    """
    wanted = {unqualified(sequence): sequence for sequence in sequences}
    art: Art = {}
    for key, content in vendor.pictures(vendor.package, directory):
        sequence = wanted.pop(key, None)
        if sequence is None:
            continue
        try:
            art[sequence] = _on_white(_decode(content))
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise UserError(f"{vendor.package.tarball}: picture of {sequence}: {error}") from None
    return vendor.mend(art)


def tones_by_lightness(art: Art) -> Art:
    """Return the art with medium-light and medium told apart by lightness.

    Only complete sets of five tones are looked at. A set whose dark picture is lighter than its
    medium one is in no order that two pictures could restore, and is left out.
    """
    _, medium_light, medium, _, dark = SKIN_TONES
    mended = dict(art)
    for sequence in art:
        tones = {tone: sequence.replace(medium_light, tone) for tone in SKIN_TONES}
        if medium_light not in sequence or not art.keys() >= set(tones.values()):
            continue
        lightness = {tone: _lightness(art[toned]) for tone, toned in tones.items()}
        if lightness[dark] > lightness[medium]:
            _LOG.warning("left out the skin tones of %s: not in order", sequence)
            for toned in tones.values():
                del mended[toned]
        elif lightness[medium_light] < lightness[medium]:
            mended[sequence] = art[tones[medium]]
            mended[tones[medium]] = art[sequence]
    return mended


def _lightness(picture: Image.Image) -> float:
    return ImageStat.Stat(picture.convert("L")).mean[0]


def _files(folder: str, suffix: str) -> Callable[[NpmPackage, Path], Pictures]:
    """Return a reader of the pictures that are files named by code points in one folder."""

    def is_picture(path: str) -> bool:
        return path.startswith(folder) and path.endswith(suffix)

    def pictures(package: NpmPackage, directory: Path) -> Pictures:
        for path, content in read_members(package, directory, is_picture):
            key = _key(path.removeprefix(folder).removesuffix(suffix))
            if key is not None:
                yield key, content

    return pictures


def _icon_set(package: NpmPackage, directory: Path) -> Pictures:
    """Read an Iconify icon set: SVG bodies by icon name, and the code points of each name."""
    icons = read_json(package, directory, "icons.json")
    names = read_json(package, directory, "chars.json")
    try:
        for code_points, name in sorted(names.items()):
            key = _key(code_points)
            icon = icons["icons"].get(name)
            if key is not None and icon is not None:
                yield key, _icon_svg(icon, icons)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{package.tarball} is not an Iconify icon set: {error!r}") from None


def _icon_svg(icon: dict[str, Any], defaults: dict[str, Any]) -> bytes:
    width = icon.get("width", defaults.get("width", 16))
    height = icon.get("height", defaults.get("height", 16))
    return _SVG.format(width=width, height=height, body=icon["body"]).encode()


def _key(name: str) -> str | None:
    """Return the unqualified sequence a file name stands for, or None when it stands for none."""
    try:
        return unqualified(from_code_points(name))
    except ValueError:
        return None


def _decode(content: bytes) -> Image.Image:
    if content.lstrip().startswith(b"<"):
        content = _render(content.decode())
    return Image.open(io.BytesIO(content)).convert("RGBA")


def _render(svg: str) -> bytes:
    """Return an SVG as PNG at twice the final side, to be scaled down smoothly."""
    try:
        import resvg_py
    except ImportError:
        raise UserError("SVG needs the extra: pip install 'mmkrl[builder]'") from None
    png: bytes = resvg_py.svg_to_bytes(
        svg_string=svg, width=_RENDER_PX, height=_RENDER_PX, skip_system_fonts=True
    )
    return png


def _on_white(picture: Image.Image) -> Image.Image:
    """Return the picture centred on a white square of ``SIDE_PX``, keeping its proportions."""
    if picture.size != (SIDE_PX, SIDE_PX):
        scale = SIDE_PX / max(picture.size)
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (SIDE_PX, SIDE_PX), "white")
    left_top = ((SIDE_PX - picture.width) // 2, (SIDE_PX - picture.height) // 2)
    canvas.alpha_composite(picture, left_top)
    return canvas.convert("RGB")


VENDORS: Final = (
    Vendor(
        source="noto",
        license="Apache-2.0",
        package=NpmPackage("emoji-datasource-google", "16.0.0"),
        pictures=_files("img/google/64/", ".png"),
    ),
    Vendor(
        source="twemoji",
        license="CC-BY-4.0",
        package=NpmPackage("emoji-datasource-twitter", "16.0.0"),
        pictures=_files("img/twitter/64/", ".png"),
    ),
    Vendor(
        source="openmoji",
        license="CC-BY-SA-4.0",
        package=OPENMOJI,
        pictures=_files("color/svg/", ".svg"),
    ),
    Vendor(
        source="fluent-3d",
        license="MIT",
        package=NpmPackage("@lobehub/fluent-emoji-3d", "1.1.0"),
        pictures=_files("assets/", ".webp"),
        mend=tones_by_lightness,
    ),
    Vendor(
        source="fluent-flat",
        license="MIT",
        package=NpmPackage("@iconify-json/fluent-emoji-flat", "1.2.6"),
        pictures=_icon_set,
    ),
)

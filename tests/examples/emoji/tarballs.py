"""Small npm tarballs in the form of the packages that the builders read."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from examples.emoji.art import VENDORS
from examples.emoji.names import ANNOTATIONS, DERIVED_ANNOTATIONS, EMOJI_DATA
from examples.emoji.pack import PACKAGES
from mmkrl.mining.emoji.sequences import SKIN_TONES, code_points, unqualified

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="9" height="9"/></svg>'
)


def write_packages(
    directory: Path,
    titles: Mapping[str, str],
    keywords: Mapping[str, list[str]] | None = None,
    subgroups: Mapping[str, str] | None = None,
) -> Path:
    """Tarballs of all packages of pictures and names, with these emoji only.

    Args:
        directory: Where they go.
        titles: Name by sequence.
        keywords: By sequence; the name and ``emoji`` for those left out.
        subgroups: By sequence; ``person`` for those left out.
    """
    directory.mkdir(parents=True, exist_ok=True)
    keywords, subgroups = keywords or {}, subgroups or {}
    emoji = [{"unified": code_points(sequence).upper()} for sequence in titles]
    openmoji = [
        {
            "hexcode": code_points(sequence).upper(),
            "group": "people-body",
            "subgroups": subgroups.get(sequence, "person"),
        }
        for sequence in titles
    ]
    annotations = {
        unqualified(s): {"default": keywords.get(s, [t, "emoji"]), "tts": [t]}
        for s, t in titles.items()
    }
    icons = {name.replace(" ", "-"): {"body": SVG} for name in titles.values()}
    chars = {code_points(s): name.replace(" ", "-") for s, name in titles.items()}
    contents = {
        EMOJI_DATA: {"emoji.json": as_json(emoji)},
        ANNOTATIONS: _annotations("annotations", annotations),
        DERIVED_ANNOTATIONS: _annotations("annotationsDerived", {}),
        VENDORS[0].package: _pictures("img/google/64/", "png", titles),
        VENDORS[1].package: _pictures("img/twitter/64/", "png", titles),
        VENDORS[2].package: {
            "data/openmoji.json": as_json(openmoji),
            **{f"color/svg/{code_points(s).upper()}.svg": SVG.encode() for s in titles},
        },
        VENDORS[3].package: _pictures("assets/", "webp", titles),
        VENDORS[4].package: {
            "icons.json": as_json({"icons": icons, "width": 32, "height": 32}),
            "chars.json": as_json(chars),
        },
    }
    assert contents.keys() == set(PACKAGES)
    for package, files in contents.items():
        write_tarball(directory / package.tarball, files)
    return directory


def as_json(content: object) -> bytes:
    return json.dumps(content).encode()


def write_tarball(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tarball:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            tarball.addfile(member, io.BytesIO(content))


def _annotations(kind: str, names: dict[str, object]) -> dict[str, bytes]:
    return {f"{kind}/en/annotations.json": as_json({kind: {"annotations": names}})}


def _pictures(folder: str, suffix: str, titles: Mapping[str, str]) -> dict[str, bytes]:
    files = {}
    for index, sequence in enumerate(titles):
        tone = max(sequence.count(tone) * number for number, tone in enumerate(SKIN_TONES))
        colour = (250 - 50 * tone, 90, index % 256, 128)  # a darker tone is a darker picture
        buffer = io.BytesIO()
        Image.new("RGBA", (70, 40), colour).save(buffer, suffix)
        files[f"{folder}{code_points(sequence)}.{suffix}"] = buffer.getvalue()
    return files | {f"{folder}notes.{suffix}": b"no picture, and no code points in its name"}

"""Format ``flickr``: the captions of Flickr8k and Flickr30k as their authors gave them.

Flickr8k.token.txt and results_20130124.token: one line a caption, ``name.jpg#0<tab>caption``.
Flickr_8k.trainImages.txt and its like: one name of an image a line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mmkrl.data.readers.config import Option
from mmkrl.data.readers.inputs import text_lines
from mmkrl.data.readers.listed import AnnotatedReader, annotation_file, split_files
from mmkrl.data.readers.records import Row
from mmkrl.errors import UserError
from mmkrl.io.storage import Location


class FlickrReader(AnnotatedReader):
    """Reads the images in the order in which the files first name them."""

    takes = frozenset[Option]({"images", "splits"})

    def annotations(self) -> Iterator[tuple[str, Row]]:
        """Captions of each image, and its split if a list names it."""
        captions = _captions(annotation_file(self.source))
        splits = _splits(split_files(self.source))
        for name in dict.fromkeys([*captions, *splits]):
            split = {"split": splits[name]} if name in splits else {}
            yield name, {"caption": captions.get(name, [])} | split


def _captions(file: Location) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(text_lines(file), start=1):
        if not line.strip():
            continue
        name, tab, caption = line.partition("\t")
        name, mark, _ = name.rpartition("#")
        if not tab or not mark:
            raise UserError(f"{file} line {number}: expected NAME#NUMBER<tab>CAPTION")
        captions[name].append(caption.strip())
    return captions


def _splits(files: dict[str, Location]) -> dict[str, str]:
    """The split of every image that a list names."""
    found: dict[str, str] = {}
    for split, file in files.items():
        for number, line in enumerate(text_lines(file), start=1):
            name = line.strip()
            if name and found.setdefault(name, split) != split:
                raise UserError(
                    f"{file} line {number}: {name} is in the list of {found[name]!r} too; an image "
                    "is of one split"
                )
    return found

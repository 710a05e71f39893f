"""Format ``flickr``: the captions of Flickr8k and Flickr30k as their authors gave them.

Flickr8k.token.txt and results_20130124.token: one line a caption, ``name.jpg#0<tab>caption``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from mmkrl.data.readers.inputs import text_lines
from mmkrl.data.readers.listed import annotation_file, plan_annotated
from mmkrl.data.readers.records import Cut, ReadUnit, Row, SourceConfig
from mmkrl.errors import UserError
from mmkrl.storage import Location


def plan(number: int, source: SourceConfig, cut: Cut) -> Iterator[ReadUnit]:
    """Runs of the images in the order in which the file first names them."""
    return plan_annotated(number, source, _rows(annotation_file(source)), cut)


def _rows(file: Location) -> Iterator[tuple[str, Row]]:
    captions: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(text_lines(file), start=1):
        if not line.strip():
            continue
        name, tab, caption = line.partition("\t")
        name, mark, _ = name.rpartition("#")
        if not tab or not mark:
            raise UserError(f"{file} line {number}: expected NAME#NUMBER<tab>CAPTION")
        captions[name].append(caption.strip())
    for name, texts in captions.items():
        yield name, {"caption": texts}

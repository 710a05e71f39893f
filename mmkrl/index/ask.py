"""One question to the space of a trained dataset."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from mmkrl.data.dataset import Dataset
from mmkrl.data.pictures import UnusablePicture
from mmkrl.errors import UserError
from mmkrl.index.space import Answer, KnowledgeSpace
from mmkrl.train.members import SPACE_FOLDER


@dataclass(frozen=True)
class Reply:
    """How a question was understood, and what was found."""

    understood: str
    answers: list[Answer]


def open_space(trained: Dataset) -> KnowledgeSpace:
    """The space that the job ``train`` kept."""
    with tempfile.TemporaryDirectory() as folder:
        for entry in trained.manifest.files:
            head, _, name = entry.path.partition("/")
            if head == SPACE_FOLDER:
                (Path(folder) / name).write_bytes(trained.read_bytes(entry))
        return KnowledgeSpace.load(Path(folder))


def ask_text(trained: Dataset, text: str, count: int) -> Reply:
    """The best images for a text."""
    space = open_space(trained)
    triple = space.link(text)
    return Reply(" | ".join(triple), space.retrieve(space.embed_triples([triple]), count)[0])


def ask_image(trained: Dataset, image: bytes, name: str, count: int) -> Reply:
    """The best relationships for an encoded picture.

    Raises:
        UserError: the picture cannot be decoded.
    """
    space = open_space(trained)
    try:
        vector_1D = space.embed_images([image])
    except UnusablePicture as fault:
        raise UserError(f"query.image {name}: {fault}") from None
    return Reply(name, space.recognise(vector_1D, count)[0])

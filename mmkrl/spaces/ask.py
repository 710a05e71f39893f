"""One question to the space of a trained dataset."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from mmkrl.data.dataset import Dataset
from mmkrl.data.pictures import UnusablePicture
from mmkrl.errors import UserError
from mmkrl.models.weights import SPACE_FOLDER
from mmkrl.spaces.space import Answer, KnowledgeSpace


@dataclass(frozen=True)
class Reply:
    """How a question was understood, and what was found."""

    understood: str
    answers: list[Answer]


def unpack_space(trained: Dataset, folder: Path) -> None:
    """Copy the files of the space that training kept.

    Raises:
        UserError: it kept none.
    """
    kept = [entry for entry in trained.manifest.files if entry.path.startswith(f"{SPACE_FOLDER}/")]
    if not kept:
        raise UserError(
            f"{trained.location} holds no model that can be asked: one of captions has none, one "
            "of triples only if it was trained since it can be registered (train with --force)"
        )
    for entry in kept:
        (folder / Path(entry.path).name).write_bytes(trained.read_bytes(entry))


def open_space(trained: Dataset) -> KnowledgeSpace:
    """The space of texts and images that training kept.

    Raises:
        UserError: it kept none.
    """
    with tempfile.TemporaryDirectory() as folder:
        unpack_space(trained, Path(folder))
        if not KnowledgeSpace.lies_in(Path(folder)):
            raise UserError(
                f"{trained.location} holds a model of triples, which finds neither images nor "
                "texts: register it and ask it for heads and tails"
            )
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

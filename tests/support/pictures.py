"""A small world of real pictures: a shape of some colour, which their captions name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from mmkrl.data.dataset import Dataset
from mmkrl.data.digest import content_id
from mmkrl.data.pictures import Limits, decode
from mmkrl.data.schemas import IMAGES, TEXTS
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.extractor import Extractor, feature_tables
from mmkrl.models.captions.data import CaptionData
from mmkrl.models.config import CORPUS, FEATURES, TrainConfig
from mmkrl.models.family import Sources
from tests.support.captions import published

COLOURS = ("red", "green", "blue", "yellow", "white")
SHAPES = ("disc", "box", "cross")
SIZE = 32
SPLITS = ("train", "train", "train", "val", "test")


def photo(number: int) -> tuple[bytes, str]:
    """A JPEG of its own and what it shows."""
    generator = np.random.default_rng(number)
    colour, shape = COLOURS[number % 5], SHAPES[number // 5 % 3]
    noise = generator.integers(0, 90, (48, 60, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    draw, (left, top) = ImageDraw.Draw(image), generator.integers(2, 20, 2).tolist()
    box = (left, top, left + 26, top + 26)
    if shape == "disc":
        draw.ellipse(box, fill=colour)
    elif shape == "box":
        draw.rectangle(box, fill=colour)
    else:
        draw.line(box, fill=colour, width=6)
        draw.line((left, top + 26, left + 26, top), fill=colour, width=6)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95)
    return file.getvalue(), f"A {colour} {shape}."


def corpus_of_photos(folder: Path, count: int) -> Dataset:
    """A corpus of photos with their captions, labels and splits; the first one lies there twice."""
    images, texts = [], []
    for number in range(count):
        data, caption = photo(number)
        own = {"image_id": content_id(data), "source": "made", "uri": f"{number}.jpg"}
        size = {"format": "JPEG", "width": 60, "height": 48, "license": ""}
        images.append(own | size | {"image": data})
        told = [("split", SPLITS[number // 15 % 5]), ("label", caption.split()[1])]
        told.append(("caption", caption))
        texts += [own | {"kind": kind, "text": text} for kind, text in told]
    images.append(images[0])
    return published(
        folder,
        images=pa.Table.from_pylist(images, IMAGES.arrow),
        texts=pa.Table.from_pylist(texts, TEXTS.arrow),
    )


def extracted_photos(folder: Path, corpus: Dataset, config: ExtractConfig) -> Dataset:
    """Their features by float32 torch, as the job ``extract`` would give them."""
    table, limits = corpus.table("images"), Limits(config.max_bytes, config.max_pixels)
    squares = [
        decode(data, limits, size=config.image_size, fit=config.fit)
        for data in table["image"].to_pylist()
    ]
    vectors = Extractor(config, dict.fromkeys(config.backbones, "torch"))(np.stack(squares))
    tables = feature_tables(table["image_id"].to_pylist(), vectors, [])
    return published(folder, config=config.model_dump(mode="json"), features=tables["features"])


def photo_data(folder: Path, count: int = 75, **fields: object) -> CaptionData:
    """What dual encoders with a backbone learn from.

    Args:
        folder: For datasets and mapped files.
        count: How many photos; three of five are for training.
        fields: Of the configuration of the extraction.
    """
    config = ExtractConfig.model_validate({"image_size": SIZE} | fields)
    corpus = corpus_of_photos(folder / "corpus", count)
    extracted = extracted_photos(folder / "extracted", corpus, config)
    datasets = {CORPUS: corpus, FEATURES: extracted}
    return CaptionData(Sources(datasets, TrainConfig(), folder / "cache"))

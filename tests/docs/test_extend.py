"""The examples of docs/extend.md work as they stand there: from a file of one's own to a split."""

import base64
import importlib
import io
import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mmkrl.config import check
from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Origin, open_dataset, publish
from mmkrl.data.splits.names import TEST, TRAIN, VALIDATION
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.extractor import Extractor
from mmkrl.errors import UsageError
from mmkrl.io.storage import locate
from mmkrl.mining.config import MINERS, MineConfig
from mmkrl.mining.dedupe.config import DedupeConfig
from mmkrl.mining.dedupe.workflow import dedupe
from mmkrl.mining.miner import MiningInputs
from mmkrl.plugins import sources
from tests.mmkrl.data.crawls import ingest
from tests.mmkrl.mining.hash_rows import run_here

PAGE = Path(__file__).parents[2] / "docs/extend.md"
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (90, 90, 90)}
COLOURS |= {"white": (255, 255, 255), "yellow": (255, 255, 0)}
THINGS = ["car", "hat", "cup", "shoe", "lamp", "ball"]
READER, MINER = "python:my_jsonl:JsonlReader", "python:my_attributes:AttributeMiner"
ENCODER = "python:my_colours:COLOURS"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with the files of the page, from which they can be imported."""
    folder = tmp_path_factory.mktemp("lab")
    text = PAGE.read_text()
    blocks = re.findall(r"```python\n# (my_\w+)\.py\n(.*?)```", text, re.DOTALL)
    names = [name for name, _ in blocks]
    assert {"my_jsonl", "my_attributes", "my_colours"} <= {*names}
    for name, block in blocks:
        (folder / f"{name}.py").write_text(block)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield folder
    sys.path.remove(str(folder))
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def configured(lab):
    """The sections that the page shows."""
    text = PAGE.read_text()
    return yaml.safe_load("\n".join(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)))


def noise(draw: random.Random) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", (32, 32), draw.randbytes(32 * 32 * 3)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def corpus(lab, configured, tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("corpus"), random.Random(0)
    titles = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS for _ in range(2)]
    lines = [
        json.dumps({"image": base64.b64encode(noise(draw)).decode(), "title": title})
        for title in [*titles, "car"]
    ]
    lines[5] = "no JSON"
    (folder / "crawl.jsonl").write_text("\n".join(lines))
    source = configured["ingest"]["sources"][0] | {"path": str(folder / "crawl.jsonl")}
    config = check({"sources": [source], "unit_rows": 20}, IngestConfig)
    return ingest(config, folder / "ingested")


def test_the_reader_gives_a_corpus_or_dead_letters_for_every_line(corpus):
    manifest = corpus.manifest
    assert manifest.rows_in == len(COLOURS) * len(THINGS) * 2 + 1
    assert manifest.dead_letters == 1
    assert len(corpus.files("images")) == 4
    assert set(corpus.table("images", ["source"])["source"].to_pylist()) == {"my_shop"}
    (dead,) = corpus.table("dead_letters", ["record", "reason"]).to_pylist()
    assert dead["record"].endswith("crawl.jsonl line 6")
    assert dead["reason"] == "bad_line"


def test_the_miner_gives_relationships_split_zero_shot(corpus, tmp_path):
    config = check({"miner": MINER, "split": {"test": 0.2}}, MineConfig)
    units, _ = dedupe(locate(tmp_path / "dedupe"), corpus, DedupeConfig(), run_here)
    publish(locate(tmp_path / "dedupe"), Origin("dedupe", "key", {}, {}, ""), units)
    datasets = {"corpus": corpus, "duplicates": open_dataset(locate(tmp_path / "dedupe"))}
    location = locate(tmp_path / "mine")
    miner = MINERS.get(config.miner)
    assert miner.needs == ("corpus", "duplicates")
    mined = miner.mine(location, MiningInputs(datasets, tmp_path), config, run_here)
    publish(location, Origin("mine", "key", {}, {}, ""), mined.units)
    found = open_dataset(location)
    rows = found.table("relationships", ["subject", "predicate", "object", "split"]).to_pylist()
    assert {(row["subject"], row["predicate"], row["object"]) for row in rows} == {
        (thing, "has colour", colour) for thing in THINGS for colour in COLOURS
    }
    splits = Counter(row["split"] for row in rows)
    assert {*splits} == {TRAIN, VALIDATION, TEST}
    assert [check.violations for check in mined.leaks] == [0] * len(mined.leaks)
    assert found.table("dead_letters", ["reason"])["reason"].to_pylist() == ["no_attribute"]


def test_the_encoder_gives_the_mean_colour_of_each_field(lab, configured):
    config = check({**configured["extract"], "image_size": 64}, ExtractConfig)
    assert config.backbones == (ENCODER,)
    pixels = np.zeros((len(COLOURS), 64, 64, 3), np.uint8)
    pixels[:, :16, 16:32] = np.array(list(COLOURS.values()), np.uint8)[:, None, None]
    expected = pixels.reshape(-1, 4, 16, 4, 16, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2) / 255
    found = Extractor(config, {ENCODER: "torch"})(pixels)[ENCODER]
    np.testing.assert_allclose(found, expected.reshape(len(pixels), 48), atol=1e-3)


def test_what_is_not_there_is_one_line(lab):
    for name in ("python:my_jsonl:Nothing", "python:no_such_lab:Reader"):
        with pytest.raises(UsageError, match="cannot be loaded") as caught:
            check({"sources": [{"path": "p", "format": name}]}, IngestConfig)
        assert "\n" not in str(caught.value)


def test_a_changed_file_is_other_work(lab):
    section = {"miner": MINER, "sources": [{"format": READER}]}
    before = sources(section)
    assert before.keys() == {MINER, READER}
    with (lab / "my_attributes.py").open("a") as file:
        file.write("# changed\n")
    after = sources(section)
    assert after[MINER] != before[MINER]
    assert after[READER] == before[READER]

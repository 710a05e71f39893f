"""Two thousand hostile files end nothing: each is one dead letter, and no good row is lost."""

import random

import pytest

from mmkrl.data.config import IngestConfig
from mmkrl.data.dataset import Origin, open_dataset, publish
from mmkrl.data.ingest import ingest_unit
from mmkrl.data.isolation.parent import Isolated
from mmkrl.data.readers.config import SourceConfig
from mmkrl.data.readers.registry import plan
from mmkrl.encoders.config import ExtractConfig
from mmkrl.encoders.decoding import COLUMNS, Decoder
from mmkrl.io.storage import locate
from tests.mmkrl.encoders.hostile import FORMATS, hostile_files, picture

HOSTILE, GOOD_EVERY = 2000, 10


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of hostile files with good ones among them, and the names of the good ones."""
    folder = tmp_path_factory.mktemp("hostile")
    draw = random.Random(1)
    good = set()
    for n, data in enumerate(hostile_files(HOSTILE)):
        (folder / f"{n:05d}.jpg").write_bytes(data)
        if n % GOOD_EVERY == 0:
            name = f"{n:05d}-good.jpg"
            (folder / name).write_bytes(picture(draw, draw.choice(FORMATS)))
            good.add(str(folder / name))
    return folder, good


def test_each_hostile_file_is_one_dead_letter(files, tmp_path):
    folder, good = files
    source = SourceConfig(path=str(folder), format="folder")
    config = IngestConfig(sources=[source])
    place = locate(tmp_path / "corpus")
    units = [
        ingest_unit(place, n, unit, config)
        for n, unit in enumerate(plan([source], unit_rows=500, unit_mb=64))
    ]
    publish(place, Origin("ingest", "test", {}, {}, ""), units)
    corpus = open_dataset(place)
    assert corpus.manifest.rows_in == HOSTILE + len(good)
    alive, lost = set(), [row["record"] for row in corpus.table("dead_letters").to_pylist()]
    decoder = Decoder(ExtractConfig(image_size=32, decode_mb=256))
    for rows in corpus.iterate("images", COLUMNS):
        decoded = decoder(rows)
        uris = rows["uri"].to_pylist()
        lost += [letter["record"] for letter in decoded.dead.values()]
        alive |= {uri for i, uri in enumerate(uris) if i not in decoded.dead}
    assert alive == good
    assert len(lost) == len(set(lost)) == HOSTILE


@pytest.mark.parametrize("kind", FORMATS)
def test_bytes_changed_at_random_never_kill_the_child(kind):
    """They may give other pixels or a reason, but each row gets its answer, and fast."""
    draw = random.Random(2)
    base = [picture(draw, kind) for _ in range(10)]
    rows = []
    for n in range(200):
        data = bytearray(base[n % 10])
        for _ in range(draw.randrange(1, 20)):
            data[draw.randrange(min(len(data), 600))] = draw.randrange(256)
        rows.append(bytes(data))
    limits = {"max_bytes": 1 << 20, "max_pixels": 1 << 20, "size": 32}
    isolated = Isolated("mmkrl.data.pictures:decoder", limits, memory_mb=256)
    results = list(isolated.map(rows))
    assert len(results) == len(rows)
    reasons = {result.reason for result in results if not isinstance(result, bytes)}
    assert "killed_decoder" not in reasons
    assert "timeout" not in reasons
    isolated.close()

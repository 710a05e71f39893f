"""Workspaces in which jobs run as a user runs them, over a small and partly hostile crawl."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from mmkrl.data.dataset import Dataset, open_dataset
from mmkrl.io.storage import locate
from mmkrl.mining.emoji.sequences import compose

_ROOT = Path(__file__).parents[2]
_VENDORS = ["noto", "twemoji", "fluent-3d"]
_PREDICATES = ("as_role", "with_hair")
_BOMB_SIDE = 20_000
_JOB_TIMEOUT_S = 500


@dataclass(frozen=True)
class Ended:
    """A job that ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The last line on stdout."""
        return json.loads(self.stdout.splitlines()[-1])

    @property
    def error(self) -> str:
        """The one line that says what is wrong."""
        assert "Traceback" not in self.stderr, self.stderr
        lines = self.stderr.strip().splitlines()
        assert lines[-1].startswith("error: "), self.stderr
        assert sum(line.startswith("error: ") for line in lines) == 1
        return lines[-1]

    def steps(self) -> dict[str, dict[str, Any]]:
        """What the chain logs of each of its jobs."""
        logged = [line.partition('{"job"') for line in self.stderr.splitlines()]
        results = [json.loads(sign + rest) for _, sign, rest in logged if sign]
        return {result["job"]: result for result in results}


@dataclass(frozen=True)
class Place:
    """A folder with a configuration, the workspace it names and an MLflow store."""

    folder: Path
    environment: dict[str, str]

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def tracking(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    def start(self, job: str, *arguments: str, **more: Any) -> subprocess.Popen[str]:
        """Start a job, or another program, in a process group of its own."""
        module = job if "." in job else f"jobs.{job}"
        return subprocess.Popen(
            [sys.executable, "-m", module, "--config", "config.yaml", *arguments],
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            text=True,
            **more,
        )

    def run(self, job: str, *arguments: str) -> Ended:
        """Run a job to its end."""
        pipe = subprocess.PIPE
        process = self.start(job, *arguments, stdout=pipe, stderr=pipe)
        try:
            stdout, stderr = process.communicate(timeout=_JOB_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            pytest.fail(f"{job} did not end:\n{process.communicate()[1][-3000:]}")
        return Ended(process.returncode, stdout, stderr)

    def done(self, job: str, *arguments: str) -> dict[str, Any]:
        """Run a job that must succeed; its result line."""
        ended = self.run(job, *arguments)
        assert ended.status == 0, ended.stderr[-6000:]
        return ended.result

    def dataset(self, job: str) -> Dataset:
        """What a job published here."""
        (folder,) = (self.workspace / job).iterdir()
        return open_dataset(locate(folder))

    def take(self, other: Place, *jobs: str) -> Place:
        """Take finished work over from another place."""
        for job in jobs:
            shutil.copytree(other.workspace / job, self.workspace / job)
        return self


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources: ``pack``, some of three vendors' emoji, and ``hostile``, four bad files."""
    folder = tmp_path_factory.mktemp("crawl")
    (folder / "pack").mkdir()
    pq.write_table(_some_of_the_pack(), folder / "pack" / "some.parquet")
    _write_hostile(folder / "hostile")
    return folder


def _some_of_the_pack() -> pa.Table:
    files = sorted((_ROOT / "jobs/demo").glob("*.parquet"))
    table = pa.concat_tables(pq.read_table(file) for file in files)
    emoji = table["alt"].to_pylist()
    made = {text: compose(text) for text in set(emoji)}
    wholes = {
        text: parts
        for text, parts in made.items()
        if parts and parts.predicate in _PREDICATES and not _toned(text)
    }
    parts = {part for whole in wholes.values() for part in (whole.subject, whole.object)}
    of_vendors = pc.is_in(table["source"], pa.array(_VENDORS))  # else only hair by itself
    isolated = pa.array([text in parts and made[text] is None for text in emoji])
    hair = pc.and_(isolated, pc.equal(table["source"], "openmoji"))
    shown = pa.array([text in wholes or text in parts for text in emoji])
    return table.filter(pc.or_(pc.and_(of_vendors, shown), hair))


def _toned(text: str) -> bool:
    return any(0x1F3FB <= ord(character) <= 0x1F3FF for character in text)


def _write_hostile(folder: Path) -> None:
    folder.mkdir()
    (folder / "bomb.png").write_bytes(_bomb())
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_bytes(b"no picture at all\n")
    (folder / "truncated.png").write_bytes(_noise()[:5000])
    caption = {"file": "truncated.png", "alt": "\U0001f469\u200d\U0001f692"}
    (folder / "captions.jsonl").write_text(json.dumps(caption) + "\n")


def _noise() -> bytes:
    """A PNG that does not compress."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _bomb() -> bytes:
    """A valid PNG of black pixels, one bit each, that takes 400 MB as bytes a pixel."""
    header = struct.pack(">IIBBBBB", _BOMB_SIDE, _BOMB_SIDE, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + _BOMB_SIDE // 8) * _BOMB_SIDE), 9)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


_SMALL = {
    "family": "bcdnn",
    "batch_size": 64,
    "hidden": 64,
    "dimension": 32,
    "rounds": 2,
    "image_steps": 60,
    "text_steps": 30,
}
"""BC-DNN, trained in seconds."""


def _configuration(crawl: Path, folder: Path) -> dict[str, Any]:
    return {
        "workspace": f"{folder}/workspace",
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db", "experiment": "small"},
        "ingest": {
            "sources": [
                {"path": str(crawl / "pack"), "format": "parquet"},
                {"path": str(crawl / "hostile"), "format": "folder"},
            ]
        },
        "mine": {"split": {"unseen_source": "twemoji"}},
        "extract": {"image_size": 64, "unit_rows": 8},
        "train": {
            "loop": {"checkpoint_steps": 20},
            "models": {
                "full": _SMALL,
                "text_only": _SMALL | {"variant": "text_only"},
            },
        },
        "evaluate": {"resamples": 200, "gallery_queries": 2},
    }


def _environment(**more: str) -> dict[str, str]:
    """A user's: this one, without what tests set for Ray."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"PYTHONPATH": str(_ROOT)} | more


@pytest.fixture(scope="session")
def new_place(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Place]:
    """Makes places; in each, every job starts a Ray of its own."""

    def make(name: str) -> Place:
        folder = tmp_path_factory.mktemp(name)
        (folder / "config.yaml").write_text(yaml.safe_dump(_configuration(crawl, folder)))
        return Place(folder, _environment())

    return make


@pytest.fixture(scope="session")
def chain(new_place: Callable[[str], Place]) -> tuple[Place, Ended]:
    """A place where the whole chain ran undisturbed, and how it ended."""
    place = new_place("chain")
    ended = place.run("pipeline")
    assert ended.status == 0, ended.stderr[-6000:]
    return place, ended


@pytest.fixture(scope="session")
def joined() -> Iterator[Callable[[Place], Place]]:
    """Makes a place's jobs join one Ray that is already up, which saves them starting one."""
    import ray

    from cluster.config import ClusterConfig
    from cluster.session import session

    with pytest.MonkeyPatch.context() as patch, session(ClusterConfig()):
        patch.setenv("PYTHONPATH", str(_ROOT))
        keys = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
        address = ray.get_runtime_context().gcs_address
        yield lambda place: Place(place.folder, _environment(RAY_ADDRESS=address, **keys))

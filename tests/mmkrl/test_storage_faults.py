"""S3 over a bad network: the same results, or one clear line in bounded time; never half a file."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mmkrl.errors import UnavailableError, UserError
from mmkrl.io import s3
from mmkrl.io.storage import Location, check_access, locate
from tests.support.faults import KINDS

pytestmark = pytest.mark.s3

SMALL = bytes(range(256)) * 400  # 100 kB
LARGE = bytes(range(251)) * 40_000  # 10 MB: read in two requests, written in two parts


@pytest.fixture
def far(proxy, s3_server, tmp_path):
    """A folder with files, behind the proxy."""
    folder = locate(f"s3://{s3_server}/{tmp_path.name}")
    (folder / "small").write_bytes(SMALL)
    (folder / "text").write_bytes("Wörter".encode())
    (folder / "empty").write_bytes(b"")
    (folder / "sub/large").write_bytes(LARGE)
    return folder


def read_ranges(folder: Location) -> list[bytes]:
    with (folder / "small").open_input() as file:
        return [file.read_at(1000, place) for place in (0, 50_000, 102_000)]


def write_and_read(folder: Location, data: bytes) -> bytes:
    (folder / "written").write_bytes(data)
    return (folder / "written").read_bytes()


def upload_and_read(folder: Location, source: Path) -> bytes:
    (folder / "uploaded").upload(source)
    return (folder / "uploaded").read_bytes()


def everything(folder: Location, source: Path) -> dict[str, object]:
    """The result of every operation there is."""
    return {
        "upload": upload_and_read(folder, source),
        "write_bytes": [write_and_read(folder, data) for data in (b"", SMALL)],
        "read_bytes": [(folder / name).read_bytes() for name in ("small", "empty")],
        "read_text": (folder / "text").read_text(),
        "open_input": read_ranges(folder),
        "files": [(entry.name, entry.size_bytes) for entry in folder.files()],
        "folders": folder.folders(),
        "is_file": [(folder / name).is_file() for name in ("small", "sub", "absent")],
        "is_dir": [(folder / name).is_dir() for name in ("small", "sub", "absent")],
        "size_bytes": (folder / "small").size_bytes(),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_gives_the_same_under_faults(proxy, far, tmp_path, wait, kind):
    if kind == "trickle":
        wait(request_s=0.4)
    source = tmp_path / "source"
    source.write_bytes(LARGE if kind in {"reset", "cut"} else SMALL)
    expected = everything(far, source)
    with proxy.breaking(0.3, kind):
        for _ in range(2 if kind == "trickle" else 3):
            assert everything(far, source) == expected
    assert proxy.seen[kind] >= 8


def test_many_threads_over_a_network_with_every_fault(proxy, far, wait):
    wait(request_s=1.0)
    files = {f"many/{number}": os.urandom(20_000 + number) for number in range(60)}

    def round_trip(name: str) -> bool:
        (far / name).write_bytes(files[name])
        return (far / name).read_bytes() == files[name]

    with proxy.breaking(0.2), ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, files))
        listed = {entry.name: entry.size_bytes for entry in (far / "many").files()}
    assert listed == {name.removeprefix("many/"): len(data) for name, data in files.items()}
    assert len(+proxy.seen) == len(KINDS) + 1


def test_a_list_of_several_pages_goes_on_where_it_broke(proxy, far):
    names = [f"{number % 3}/{number:04d}" for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: (far / "pages" / name).write_bytes(b"x"), names))
    for _ in range(5):
        with proxy.breaking(0.5, "truncate", "reset"):
            assert [entry.name for entry in (far / "pages").files()] == sorted(names)


def test_pyarrow_reads_and_writes_too(proxy, far):
    """Ray Train stores its checkpoints through pyarrow."""
    file, system = far / "checkpoint", far.filesystem
    with proxy.breaking(0.4, "truncate", "slow_down"):
        for _ in range(40):
            with system.open_output_stream(file.path) as stream:
                stream.write(SMALL)
            with system.open_input_stream(file.path) as stream:
                assert stream.read() == SMALL


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("refuse", "the connection broke"),
        ("truncate", "the connection broke"),
        ("slow_down", "503 SlowDown"),
        ("server_error", "500 InternalError"),
        ("trickle", "timed out"),
    ],
)
@pytest.mark.parametrize("operation", ["read", "read_part", "list"])
def test_an_outage_ends_in_one_line_in_bounded_time(proxy, far, wait, kind, cause, operation):
    wait(request_s=0.4, patience_s=0.6)
    target = far if operation == "list" else far / "small"
    operations = {
        "read": target.read_bytes,
        "read_part": lambda: file.read_at(10, 100),
        "list": lambda: list(target.files()),
    }
    file = (far / "small").open_input()
    started = time.monotonic()
    with proxy.breaking(1.0, kind), pytest.raises(UnavailableError) as caught:
        operations[operation]()
    assert time.monotonic() - started < 0.6 + 0.4 + 1.0
    line = rf"{target}: {cause}.* after \d+ attempts over \d+ s; run the job again, it continues"
    assert re.fullmatch(line, str(caught.value)), str(caught.value)


def test_a_server_that_is_gone_is_named_with_the_reason(proxy, far, monkeypatch, wait):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    wait(request_s=1.0, patience_s=0.5)
    with pytest.raises(UnavailableError, match="cannot connect: Connection refused after"):
        (far / "small").read_bytes()


@pytest.mark.parametrize("data", [SMALL[::-1], LARGE], ids=["one part", "two parts"])
@pytest.mark.parametrize("name", ["small", "new"])
def test_a_dropped_upload_never_shows(proxy, far, wait, data, name):
    wait(request_s=5.0, patience_s=0.3)
    before = [(entry.name, entry.size_bytes) for entry in far.files()]
    with proxy.breaking(1.0, "cut", methods=["PUT"]), pytest.raises(UnavailableError):
        (far / name).write_bytes(data)
    assert [(entry.name, entry.size_bytes) for entry in far.files()] == before
    assert (far / "small").read_bytes() == SMALL


def test_refusals_are_not_repeated(proxy, far, monkeypatch):
    before = proxy.seen.total()
    with pytest.raises(UserError, match="absent: no such file"):
        (far / "absent").read_bytes()
    assert proxy.seen.total() == before + 1
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3.forget()
    with pytest.raises(UserError, match="access denied") as caught:
        (far / "small").read_bytes()
    assert not isinstance(caught.value, UnavailableError)
    assert proxy.seen.total() == before + 2
    with pytest.raises(UserError, match="access denied"):
        check_access([far])
    assert proxy.seen.total() == before + 3


def test_an_object_replaced_while_it_is_read_is_noticed(far):
    with (far / "small").open_input() as file:
        assert file.read(10) == SMALL[:10]
        (far / "small").write_bytes(SMALL[::-1])
        with pytest.raises(UserError, match="small: changed while it was read"):
            file.read(10)


def test_patience_that_is_no_number_is_named(far, monkeypatch):
    monkeypatch.setenv("MMKRL_S3_PATIENCE_S", "long")
    s3.forget()
    with pytest.raises(UserError, match="MMKRL_S3_PATIENCE_S = 'long': expected seconds above 0"):
        (far / "small").read_bytes()

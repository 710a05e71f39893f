"""Extraction from S3 to S3 over a bad network gives the dataset of a local run."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from mmkrl.data.dataset import open_dataset
from mmkrl.io import s3
from mmkrl.io.storage import locate
from tests.jobs.published import hashes
from tests.support.faults import FaultyProxy

pytestmark = [pytest.mark.ray, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(600)]

_FAULTS = 0.15
_AWS = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")


def with_workspace(place, workspace, **environment):
    """The same place, working elsewhere."""
    text = (place.folder / "config.yaml").read_text()
    text = text.replace(f"{place.folder}/workspace", workspace)
    (place.folder / "config.yaml").write_text(text)
    return replace(place, environment=place.environment | environment)


def test_the_digests_are_those_of_a_local_run(s3_server, new_place, chain):
    local, _ = chain
    expected = [local.dataset("ingest"), local.dataset("extract")]
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"], seed=3) as proxy:
        keys = {name: os.environ[name] for name in _AWS} | {"AWS_ENDPOINT_URL": proxy.url}
        limits = {"MMKRL_S3_REQUEST_S": "3"}
        place = with_workspace(new_place("remote"), f"s3://{s3_server}/work", **keys, **limits)
        with proxy.breaking(rate=_FAULTS):
            lines = [place.done("ingest"), place.done("extract")]
        broken = sum(count for kind, count in proxy.seen.items() if kind != "none")
        assert broken > 10, proxy.seen
    s3.forget()
    remote = [open_dataset(locate(line["output"])) for line in lines]
    for found, whole in zip(remote, expected, strict=True):
        assert found.digest == whole.digest
        assert hashes(found) == hashes(whole)

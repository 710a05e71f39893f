"""What tests of several rooms of the core share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from mmkrl.io import s3
from tests.support.faults import FaultyProxy


@pytest.fixture
def proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A network between this process and the S3 server that can be broken."""
    with FaultyProxy(os.environ["AWS_ENDPOINT_URL"], seed=7) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        s3.forget()
        yield proxy
        s3.forget()


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets for how many seconds the client waits for one request and for one operation."""

    def set_limits(*, request_s: float, patience_s: float = 30.0) -> None:
        monkeypatch.setenv("MMKRL_S3_REQUEST_S", str(request_s))
        monkeypatch.setenv("MMKRL_S3_PATIENCE_S", str(patience_s))
        s3.forget()

    return set_limits

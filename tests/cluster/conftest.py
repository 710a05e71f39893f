"""One Ray for all tests of this folder that need one."""

import pytest

from cluster.config import ClusterConfig
from cluster.session import session


@pytest.fixture(scope="package")
def one_ray():
    """A local Ray, started once."""
    with session(ClusterConfig()):
        yield

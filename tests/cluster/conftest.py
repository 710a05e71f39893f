"""One Ray for all tests of this folder that need one."""

import pytest

from cluster.session import RayConfig, session


@pytest.fixture(scope="package")
def one_ray():
    """A local Ray, started once."""
    with session(RayConfig()):
        yield

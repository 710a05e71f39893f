"""BC-DNN on the CPU, one thread, over the small world of :mod:`tests.support.bcdnn`."""

import pytest
import torch

from mmkrl.train.context import LocalContext
from tests.support.bcdnn import knowledge, loop_config, make_learner, small

__all__ = ["knowledge", "loop_config", "make_learner", "small"]


@pytest.fixture(autouse=True, scope="session")
def one_thread_on_the_cpu():
    """Bit-for-bit comparisons need a fixed order of additions."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalContext, "device", torch.device("cpu"))
        yield

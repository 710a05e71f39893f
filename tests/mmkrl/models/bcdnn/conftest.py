"""BC-DNN on the CPU, one thread, with a space of its own."""

import pytest
import torch

from mmkrl.train.context import LocalContext
from tests.support.spaces import space, words

__all__ = ["space", "words"]


@pytest.fixture(autouse=True, scope="session")
def one_thread_on_the_cpu():
    """Bit-for-bit comparisons need a fixed order of additions."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalContext, "device", torch.device("cpu"))
        yield

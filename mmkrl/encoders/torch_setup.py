"""The one module every worker imports before torchvision.

A CPU-only torch beside torchvision's published (CUDA) wheel lacks two operator definitions that
torchvision expects at import. They are defined here, without an implementation: nothing in mmkrl
calls them. With a complete installation the definitions already exist and this module does
nothing.
"""

import torch

_MISSING_OPERATORS = ("nms", "qnms")
_library = torch.library.Library("torchvision", "FRAGMENT")  # must outlive the process's imports


def _define_missing_operators() -> None:
    try:
        import torchvision  # noqa: F401 - a complete installation needs no help

        return
    except RuntimeError:
        pass
    for name in _MISSING_OPERATORS:
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


_define_missing_operators()


def use_threads(count: int) -> None:
    """Give this process ``count`` compute threads; several one-thread processes beat one wide one.

    Args:
        count: Threads for torch's operators inside this process, at least 1.
    """
    torch.set_num_threads(count)

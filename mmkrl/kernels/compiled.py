"""How this project compiles its loops: one thread, without the interpreter's lock, kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

# Of LLVM's fast-math flags not "nnan" and "ninf": a diverged model must be seen to have diverged.
_ANY_ORDER = {"reassoc", "contract", "nsz"}


def in_order(function: Function) -> Function:
    """Compile a function whose floating-point operations happen exactly as they are written.

    The machine code is made at the first call with arguments of a kind and kept beside the source.
    """
    return cast("Function", numba.njit(cache=True, nogil=True)(function))


def in_any_order(function: Function) -> Function:
    """Compile a function whose sums may be taken in any order, which is what makes them fast.

    Infinities and NaNs keep their meaning; the error of a sum of n float32 terms stays below
    n * 2**-24 times the sum of their absolute values (Higham, "Accuracy and Stability of Numerical
    Algorithms", 2002, section 4.2).
    """
    return cast("Function", numba.njit(cache=True, nogil=True, fastmath=_ANY_ORDER)(function))


def inlined(function: Function) -> Function:
    """Compile a function into each of its callers, whose order of operations it then has.

    A call that passes arrays costs tens of nanoseconds, which the innermost loops would feel.
    """
    return cast("Function", numba.njit(inline="always", cache=True, nogil=True)(function))

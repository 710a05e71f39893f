"""Fetching a row of a table from memory before it is needed.

Rows looked up at random come from the slowest memory. Fetched a triple ahead, they make training
TransE faster by 13 to 29 % with one corruption a triple and by 58 to 89 % with ten
(``benchmarks.kge_train``, gradient descent and Adagrad, on an AMD EPYC with 32 MiB of cache).

Numba has no public function for it, so this module, and no other, writes LLVM's instruction through
numba's internals (``cgutils``, ``make_array``). ``tests/mmkrl/kernels/test_prefetch.py`` tells when
they change; :func:`prefetch_row` may then do nothing, and every result stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from mmkrl.arrays import Float32Array
from mmkrl.kernels.compiled import inlined

_LINE = 16  # float32 numbers that memory delivers at once
_READ, _SOON, _DATA = 0, 2, 1  # arguments of LLVM's prefetch


def _line(_: Any, table_ND: Any, row: Any, column: Any) -> Any:  # noqa: ARG001 - numba's protocol
    """The type and the code of a call."""

    def code(context: Any, builder: Any, _: Any, values: Any) -> Any:
        table = context.make_array(table_ND)(context, builder, values[0])
        number = cgutils.get_item_pointer(context, builder, table_ND, table, values[1:])
        byte, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, integer, integer, integer])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        how = [ir.Constant(integer, value) for value in (_READ, _SOON, _DATA)]
        builder.call(function, [builder.bitcast(number, byte), *how])
        return context.get_dummy_value()

    return types.void(table_ND, types.intp, types.intp), code


_prefetch_line = cast("Callable[[Float32Array, int, int], None]", intrinsic(_line))


@inlined
def prefetch_row(table_ND: Float32Array, row: int) -> None:
    """Fetch a row of a C-contiguous table; it must be within bounds."""
    for column in range(0, table_ND.shape[1], _LINE):
        _prefetch_line(table_ND, row, column)

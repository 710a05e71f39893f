"""The one module that uses numba's internals still compiles, and leads to LLVM's instruction."""

import numpy as np

from mmkrl.kernels.compiled import in_order
from mmkrl.kernels.prefetch import prefetch_row


@in_order
def _fetch(table_ND, row):
    prefetch_row(table_ND, row)
    return table_ND[row, 0]


def test_fetching_a_row_changes_nothing_and_is_no_empty_call():
    table_ND = np.arange(40, dtype=np.float32).reshape(2, 20)
    before = table_ND.copy()
    assert _fetch(table_ND, 1) == 20
    np.testing.assert_array_equal(table_ND, before)
    _fetch.recompile()  # code that was kept on disk cannot be looked into
    (code,) = _fetch.inspect_llvm().values()
    assert "llvm.prefetch" in code

"""Names for the NumPy arrays that rooms exchange, by element type."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[np.int64]
"""Positions, counts, labels."""
FloatArray: TypeAlias = npt.NDArray[np.float64]
"""Scores and statistics, in double precision."""
Float32Array: TypeAlias = npt.NDArray[np.float32]
"""Vectors and what compiled kernels take."""
BoolArray: TypeAlias = npt.NDArray[np.bool_]
"""Masks."""
UInt64Array: TypeAlias = npt.NDArray[np.uint64]
"""Words of 64 bits, such as a quarter of a perceptual hash."""
StringArray: TypeAlias = npt.NDArray[np.str_]
"""Names."""

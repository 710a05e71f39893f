"""Text files as columns of fields, with the number of every line.

A line that is no UTF-8 or has not the expected fields is set aside; blank lines are none. Lines
end in LF or CRLF, and a byte order mark is no part of the first name.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmkrl.arrays import BoolArray
from mmkrl.data.graphs.rows import Account, Rows, mask, shown
from mmkrl.errors import UserError
from mmkrl.io.storage import Location

TAB, SPACES = r"\t", r"[ \t]+"  # what separates fields
_MARK = b"\xef\xbb\xbf"
_LINE = "line"  # the column of what is not yet cut into fields


def raw_lines(file: Location) -> Rows:
    """The lines of a file as bytes, without the blank ones.

    Raises:
        UserError: there is no file.
    """
    data = file.read_bytes().removeprefix(_MARK)
    lines = pc.split_pattern(pa.array([data], pa.large_binary()), b"\n").flatten()
    lines = pc.replace_substring_regex(lines, pattern=r"\r$", replacement="")
    filled = mask(pc.match_substring_regex(lines, pattern=r"\S"))
    number = np.arange(1, len(lines) + 1, dtype=np.int64)
    return Rows(file, number, pa.table({_LINE: lines})).where(filled)


def counted(lines: Rows) -> Rows:
    """The lines after a first one that says how many they are.

    Raises:
        UserError: it says something else.
    """
    if not len(lines):
        raise UserError(f"{lines.file}: empty; expected the number of its rows in line 1")
    first, rest = lines.values[_LINE][0].as_py(), len(lines) - 1
    address = lines.address(0)
    try:
        count = int(first)
    except ValueError:
        raise UserError(f"{address}: {shown(first)}: expected the number of rows below") from None
    if count != rest:
        raise UserError(
            f"{address}: the count is {count}, but {rest} rows follow: the file was cut off or "
            "changed; get it again or correct the count"
        )
    return lines.where(np.arange(len(lines)) > 0)


def decoded(lines: Rows, account: Account) -> Rows:
    """The lines as text; from here on they are accounted for, and those not UTF-8 set aside."""
    account.rows_in += len(lines)
    raw = lines.values[_LINE].combine_chunks()

    def detail(position: int) -> str:
        return f"{shown(raw[position].as_py())}: not UTF-8 text"

    readable = account.keep(lines, utf8(raw), "not_utf8", detail)
    return readable.holding(readable.values.cast(pa.schema([(_LINE, pa.large_string())])))


def trimmed(lines: Rows) -> Rows:
    """The lines without spaces at their ends."""
    return lines.holding(pa.table({_LINE: pc.utf8_trim_whitespace(lines.values[_LINE])}))


def fields(lines: Rows, names: Sequence[str], account: Account, separator: str = TAB) -> Rows:
    """Lines cut into columns; those with more, fewer or empty fields are set aside.

    Args:
        lines: Decoded lines.
        names: The columns, in the order of the fields.
        account: Where lines that do not fit are recorded.
        separator: Regular expression of what stands between fields.
    """
    text = lines.values[_LINE].combine_chunks()
    pieces = pc.split_pattern_regex(text, separator)
    fitting = mask(pc.equal(pc.list_value_length(pieces), len(names)))
    owner = pc.list_parent_indices(pieces).to_numpy()
    fitting[owner[mask(pc.equal(pieces.flatten(), ""))]] = False

    def detail(position: int) -> str:
        return f"{shown(text[position].as_py())}: expected {', '.join(names)}"

    kept = account.keep(lines, fitting, "wrong_fields", detail)
    flat = pieces.filter(pa.array(fitting)).flatten().cast(pa.string())
    index = np.arange(len(flat), dtype=np.int64)
    columns = {name: flat.take(index[n :: len(names)]) for n, name in enumerate(names)}
    return kept.holding(pa.table(columns))


def numbered(lines: Rows, account: Account) -> Rows:
    """Lines of a name and a number as columns name and id; the name may have spaces."""
    text = pc.utf8_trim_whitespace(lines.values[_LINE])
    cut = pc.replace_substring_regex(text, pattern=r"\s+(\S+)$", replacement="\t\\1")
    return fields(lines.holding(pa.table({_LINE: cut})), ("name", "id"), account)


def utf8(values: pa.Array) -> BoolArray:
    """Which byte strings are UTF-8, found by halving where not all are."""
    try:
        values.cast(pa.large_string())
    except pa.ArrowInvalid:
        if len(values) == 1:
            return np.zeros(1, dtype=np.bool_)
        middle = len(values) // 2
        return np.concatenate([utf8(values[:middle]), utf8(values[middle:])])
    return np.ones(len(values), dtype=np.bool_)

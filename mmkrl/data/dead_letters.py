"""Rows that could not be used, as rows of the table ``dead_letters``: one way for every job."""

from __future__ import annotations


def dead_letter(stage: str, record: str, reason: str, detail: str) -> dict[str, str]:
    """A row of the table ``dead_letters``.

    Args:
        stage: The job that sets the row aside.
        record: Its address, or file and row.
        reason: A short code.
        detail: What was wrong; it may quote hostile bytes.
    """
    return {
        "stage": stage,
        "record": storable(record),
        "reason": reason,
        "detail": storable(detail),
    }


def storable(text: str) -> str:
    """The text without lone surrogates, which JSON and file names allow and UTF-8 cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

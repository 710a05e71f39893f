"""A page as a real browser shows it, without a window."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,2400",
)
_TIMEOUT_S = 180


def browse(page: str, folder: Path) -> tuple[str, Path]:
    """The page's elements after it was laid out, as HTML, and a picture of it.

    Skips the test where there is no browser.
    """
    (folder / "page.html").write_text(page)
    return look((folder / "page.html").as_uri(), folder)


def look(address: str, folder: Path, *options: str) -> tuple[str, Path]:
    """The same of the page at an address.

    Args:
        address: Of the page.
        folder: Where the browser keeps its profile and the picture.
        options: Further ones of Chromium's.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: install one of {', '.join(_NAMES)}")
    picture = folder / "page.png"
    command = [program, *_OPTIONS, *options, f"--user-data-dir={folder / 'profile'}"]
    shown = [
        subprocess.run(
            [*command, what, address], capture_output=True, timeout=_TIMEOUT_S, check=True
        ).stdout
        for what in ("--dump-dom", f"--screenshot={picture}")
    ]
    return shown[0].decode(), picture

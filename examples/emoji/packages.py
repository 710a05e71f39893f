"""The npm packages the pack is made of, fetched and read as tarballs.

Members are read in memory, one pass per tarball; nothing is unpacked to disk and no code of a
package runs, so a hostile member path or install script has nothing to act on.
"""

from __future__ import annotations

import json
import logging
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmkrl.errors import UserError

_LOG = logging.getLogger(__name__)
_DOWNLOAD_TIMEOUT_S: Final = 600
_ROOT: Final = "package/"


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """One package at one version; ``npm pack`` names its tarball."""

    name: str
    version: str

    @property
    def tarball(self) -> str:
        """File name that ``npm pack`` gives the tarball."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def fetch(package: NpmPackage, directory: Path) -> Path:
    """Return the package's tarball in ``directory``, downloading it with npm when it is missing.

    Raises:
        UserError: npm is not installed, or the download fails.
    """
    path = directory / package.tarball
    if path.is_file():
        return path
    directory.mkdir(parents=True, exist_ok=True)
    wanted = f"{package.name}@{package.version}"
    _LOG.info("downloading %s", wanted)
    command = ["npm", "pack", wanted, "--silent", "--pack-destination", str(directory)]
    try:
        subprocess.run(  # noqa: S603 (a fixed program; the arguments are our own package table)
            command, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S
        )
    except FileNotFoundError:
        raise UserError(
            f"npm is not installed: install it, or put {path.name} in {directory}"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"npm pack {wanted} took over {_DOWNLOAD_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split()) or f"exit code {error.returncode}"
        raise UserError(f"npm pack {wanted} failed: {reason}") from None
    if not path.is_file():
        raise UserError(f"npm pack {wanted} left no {path.name} in {directory}")
    return path


def read_members(
    package: NpmPackage, directory: Path, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    """Yield (path inside the package, content) of the regular files whose path is wanted.

    Raises:
        UserError: the tarball is missing or damaged.
    """
    path = directory / package.tarball
    try:
        with tarfile.open(path, "r|gz") as tarball:
            for member in tarball:
                name = member.name.removeprefix(_ROOT)
                stream = tarball.extractfile(member) if member.isfile() and wanted(name) else None
                if stream is not None:
                    yield name, stream.read()
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def read_json(package: NpmPackage, directory: Path, name: str) -> Any:
    """Return one JSON file of a package.

    Raises:
        UserError: the tarball or the file is missing, or is not JSON.
    """
    for _, content in read_members(package, directory, name.__eq__):
        try:
            return json.loads(content)
        except ValueError as error:
            raise UserError(f"{name} in {package.tarball} is not JSON: {error}") from None
    raise UserError(f"{package.tarball} has no {name}")

"""What a dataset was made from, found again by digest in the workspace where it lies."""

from __future__ import annotations

from mmkrl.data.dataset import Dataset
from mmkrl.data.manifest import MANIFEST_NAME, Manifest, read_manifest
from mmkrl.io.storage import Location

Lineage = dict[str, tuple[Location, Manifest]]
"""Location and manifest by job."""


def lineage(dataset: Dataset) -> Lineage:
    """A dataset and all that it was made from; what is no longer there is left out.

    Args:
        dataset: A job's output, at ``WORKSPACE/JOB/KEY-vN``.
    """
    workspace = dataset.location.parent.parent
    found: Lineage = {dataset.manifest.job: (dataset.location, dataset.manifest)}
    waiting = list(dataset.manifest.inputs.items())
    while waiting:
        job, digest = waiting.pop()
        made = None if job in found else _made(workspace / job, digest)
        if made:
            found[job] = made
            waiting += made[1].inputs.items()
    return found


def _made(folder: Location, digest: str) -> tuple[Location, Manifest] | None:
    """The dataset with a digest among the versions in a folder."""
    for name in folder.folders():
        source = folder / name / MANIFEST_NAME
        if source.is_file():
            manifest = read_manifest(source)
            if manifest.digest == digest:
                return folder / name, manifest
    return None

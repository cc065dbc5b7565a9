"""Manifests of files that a step of a run has written but not yet committed.

Jobs write files, gates validate them, and publishing commits them. No reader sees a row before. A manifest is at
``staging/<source>/<ds>/<step>.json``; running a step again replaces it.
"""

import hashlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.lake.lake import Lake, NewDays
from pipeline_tasks.run_key import RunKey

_LAST: Final = "recommendations"
"""Table that is committed last by a catalog that cannot commit several tables at once. A reader that finds the new
recommendations then finds all other tables of the run too."""


class StagedTable(BaseModel):
    """Files of one table that are not validated yet."""

    days: list[date]
    """Days that the commit replaces, also those without a file."""
    files: list[str]
    rows: int


class Manifest(BaseModel):
    """Everything that one step has built for one run."""

    source: str
    ds: date
    step: str
    tables: dict[str, StagedTable] = {}
    facts: dict[str, str] = {}
    """Kept as snapshot properties by the commit: ids of the snapshots read, settings, counts."""
    seconds: dict[str, float] = {}
    """Wall time of the step's parts, which may run concurrently; not kept by the commit."""

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest's file content. A gate report names the manifest by it."""
        return hashlib.sha256(self.model_dump_json(indent=1).encode()).hexdigest()


def staging_folder(settings: Settings, run_key: RunKey) -> Path:
    """Return the folder of the run's staged files. Writers create it."""
    return settings.staging / run_key.source / run_key.ds.isoformat()


def write_manifest(settings: Settings, manifest: Manifest) -> Path:
    """Write the manifest of a step, replacing an earlier one."""
    path = staging_folder(settings, RunKey(manifest.source, manifest.ds)) / f"{manifest.step}.json"
    write_atomically(path, manifest.model_dump_json(indent=1))
    return path


def read_manifest(settings: Settings, run_key: RunKey, step: str) -> Manifest:
    """Return the manifest of `step`. Raises FileNotFoundError where the step has not run."""
    path = staging_folder(settings, run_key) / f"{step}.json"
    if not path.exists():
        raise FileNotFoundError(
            f"Step {step} has built nothing for {run_key.source} {run_key.ds}: {path} is missing; run that step first"
        )
    return Manifest.model_validate_json(path.read_text())


def publish(lake: Lake, manifest: Manifest, only: Iterable[str] | None = None) -> dict[str, int]:
    """Commit the staged tables of a manifest, all at once or none, and return the new snapshot ids by table.

    It checks no gate: nightly runs publish by `gates.gated_publish`; tests and benchmarks call this function directly.
    """
    chosen = [name for name in manifest.tables if only is None or name in set(only)]
    names = sorted(chosen, key=lambda name: name == _LAST)
    changes = {
        name: NewDays(manifest.tables[name].days, manifest.tables[name].files)
        for name in names
        if manifest.tables[name].files or lake.snapshot_id(name) is not None
    }
    return lake.commit_tables(changes, manifest.facts)

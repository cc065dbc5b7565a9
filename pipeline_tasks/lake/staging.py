"""What a job hands to the next one within a night: a manifest of files written but not yet committed.

Jobs build, gates validate, publishing commits: until then no reader sees a row. Manifests lie at
``staging/<source>/<ds>/<step>.json``; running a step again replaces its manifest.
"""

import hashlib
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.atomic_write import write_atomically
from pipeline_tasks.lake.lake import Lake, NewDays
from pipeline_tasks.run_key import RunKey

_LAST: Final = "recommendations"
"""Committed last by a catalog that cannot commit several tables at once: a reader that finds tonight's recommendations
then finds all else of the night too."""


class StagedTable(BaseModel):
    """Files of one table that wait for their gate."""

    days: list[date]
    """Days that the commit replaces, also those without a file."""
    files: list[str]
    rows: int


class Manifest(BaseModel):
    """All that one step built for one night."""

    source: str
    ds: date
    step: str
    tables: dict[str, StagedTable] = {}
    facts: dict[str, str] = {}
    """Kept as snapshot properties by the commit: ids of the snapshots read, settings, counts."""
    seconds: dict[str, float] = {}
    """Wall time of the step's parts, which may run beside one another; not kept by the commit."""

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest as it is written: a gate says of which manifest it tells."""
        return hashlib.sha256(self.model_dump_json(indent=1).encode()).hexdigest()


def night_folder(settings: Settings, run_key: RunKey) -> Path:
    """Return the folder in which a night's steps hand on their work; who writes there makes it."""
    return settings.staging / run_key.source / run_key.ds.isoformat()


def write_manifest(settings: Settings, manifest: Manifest) -> Path:
    """Write the manifest of a step, replacing an earlier one."""
    path = night_folder(settings, RunKey(manifest.source, manifest.ds)) / f"{manifest.step}.json"
    write_atomically(path, manifest.model_dump_json(indent=1))
    return path


def read_manifest(settings: Settings, run_key: RunKey, step: str) -> Manifest:
    """Read what `step` built for the night."""
    path = night_folder(settings, run_key) / f"{step}.json"
    if not path.exists():
        raise FileNotFoundError(
            f"Step {step} has built nothing for {run_key.source} {run_key.ds}: {path} is missing; run that step first"
        )
    return Manifest.model_validate_json(path.read_text())


def publish(lake: Lake, manifest: Manifest, only: Iterable[str] | None = None) -> dict[str, int]:
    """Commit the staged tables of a manifest, all at once or none, and return the new snapshot ids by table.

    Asks no gate: a night does so first (`gates.gated_publish`); tests and benchmarks publish what they made as it is.
    """
    chosen = [name for name in manifest.tables if only is None or name in set(only)]
    names = sorted(chosen, key=lambda name: name == _LAST)
    changes = {
        name: NewDays(manifest.tables[name].days, manifest.tables[name].files)
        for name in names
        if manifest.tables[name].files or lake.snapshot_id(name) is not None
    }
    return lake.commit_tables(changes, manifest.facts)

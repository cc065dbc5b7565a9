"""Keeps downloaded model versions on this machine, because a nightly run reads its champion twice."""

import shutil
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import mlflow
from mlflow.entities.model_registry import ModelVersion

from pipeline_tasks.config.settings import Settings

_PART: Final = ".part-"


_ABANDONED_SECONDS: Final = 86_400
"""Age of an unfinished download that is taken for a killed one."""


def cached_version(settings: Settings, version: ModelVersion) -> Path:
    """Return the folder of a registered version; it is downloaded where it is missing.

    The version before it stays too, because another process may be reading it; older ones are removed. A download is
    written to a temporary folder and renamed, so that two processes at once both get a complete folder.
    """
    folder = settings.home / "champions" / version.name
    # The name holds the time of registration, because every new registry counts its versions from 1.
    kept = folder / f"{version.version}-{version.creation_timestamp}"
    if not kept.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _download(version, kept)
    _remove_earlier(folder, kept)
    return kept


def _download(version: ModelVersion, kept: Path) -> None:
    part = Path(mkdtemp(prefix=_PART, dir=kept.parent))
    try:
        mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}", dst_path=str(part / "model"))
        (part / "model").rename(kept)
    except OSError:
        # Another process finished first: a folder that is not empty is not replaced.
        if not kept.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_earlier(folder: Path, kept: Path) -> None:
    # The folder is listed once, because other processes may start and end downloads meanwhile.
    listed = set(folder.iterdir())
    parts = {path for path in listed if path.name.startswith(_PART)}
    earlier = sorted((other for other in listed - parts if _registered(other) < _registered(kept)), key=_registered)
    for path in [*filter(_is_abandoned, parts), *earlier[:-1]]:
        shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(part: Path) -> bool:
    try:
        return time.time() - part.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:
        # The download has ended since the folder was listed.
        return False


def _registered(kept: Path) -> int:
    return int(kept.name.rpartition("-")[2])

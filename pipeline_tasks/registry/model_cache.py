"""The versions that this machine keeps of what it downloaded from the registry: a night reads its champion twice."""

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
"""After which a download that was not finished is one that was killed."""


def kept_version(settings: Settings, version: ModelVersion) -> Path:
    """Return the folder of a registered version, downloaded unless it is there.

    Of earlier versions of the model the last one stays, as another process may be reading it. Of two who download at
    once, both get a complete folder: it is written beside and renamed.
    """
    folder = settings.home / "champions" / version.name
    # With the moment of registration: another registry, or one begun anew, counts its versions from 1 too.
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
        # Another process was quicker: a folder that is not empty is not replaced.
        if not kept.is_dir():
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_earlier(folder: Path, kept: Path) -> None:
    # Listed once: others who download here begin and end their parts meanwhile.
    listed = set(folder.iterdir())
    parts = {path for path in listed if path.name.startswith(_PART)}
    earlier = sorted((other for other in listed - parts if _registered(other) < _registered(kept)), key=_registered)
    for stale in [*filter(_abandoned, parts), *earlier[:-1]]:
        shutil.rmtree(stale, ignore_errors=True)


def _abandoned(part: Path) -> bool:
    try:
        return time.time() - part.stat().st_mtime > _ABANDONED_SECONDS
    except FileNotFoundError:
        # Its download ended since it was listed.
        return False


def _registered(kept: Path) -> int:
    return int(kept.name.rpartition("-")[2])

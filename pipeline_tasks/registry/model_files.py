"""Model files: downloaded versions that are kept on this machine, and the SHA-256 of promoted ones in the lake.

A person with MLflow's login, or with access to its artifact store, can replace a model there. Without write access to
the lake, nobody can make Nightshelf use a model that it did not promote.
"""

import hashlib
import shutil
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

import mlflow
from mlflow.entities.model_registry import ModelVersion
from pyiceberg.exceptions import NoSuchNamespaceError

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake

_PART: Final = ".part-"
_ABANDONED_SECONDS: Final = 86_400
"""Age of an unfinished download that is taken for a killed one."""
_KEY: Final = "nightshelf.champion_sha256."
"""Prefix of the property of the source's namespace; the version follows."""


def kept_version(settings: Settings, version: ModelVersion) -> Path:
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


class ChampionError(ValueError):
    """A registered version was not promoted, or its files were changed."""


def files_sha256(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of all files below the folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def record_champion(settings: Settings, source: str, version: str, sha256: str) -> None:
    """Store the SHA-256 of the model files of a version before it becomes champion."""
    catalog = Lake.open(settings, source).catalog
    catalog.create_namespace_if_not_exists(source)
    catalog.update_namespace_properties(source, updates={_KEY + version: sha256})


def recorded_champions(settings: Settings, source: str) -> dict[str, str]:
    """Return version -> SHA-256 for all versions that were ever promoted."""
    try:
        properties = Lake.open(settings, source).catalog.load_namespace_properties(source)
    except NoSuchNamespaceError:
        return {}
    return {name.removeprefix(_KEY): value for name, value in properties.items() if name.startswith(_KEY)}


def expected_sha256(settings: Settings, source: str, name: str, version: str) -> str | None:
    """Return the stored SHA-256 of the version's model files; None where no version was recorded yet.

    The caller accepts and records the champion of a Nightshelf that stored no checksums.

    Raises:
        ChampionError: other versions were recorded, but not this one.
    """
    recorded = recorded_champions(settings, source)
    if not recorded:
        return None
    if version not in recorded:
        promoted = ", ".join(sorted(recorded, key=int))
        raise ChampionError(
            f"{name} version {version} was not promoted by Nightshelf: its alias was moved in MLflow. Promoted "
            f"versions: {promoted}. Move the alias back to one of them (in MLflow, or by the DAG roll_back_night), or "
            "remove the alias and run fine_tune_recommender with retrain=always"
        )
    return recorded[version]

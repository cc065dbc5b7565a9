"""The SHA-256 of every promoted version's model files, kept in the lake's catalog and checked before a version is used.

Everybody with MLflow's login, or with access to its artifact store, can replace a model there. The lake is what readers
of the tables trust. Without write access to the lake nobody can make Nightshelf use a model that it did not promote.
"""

import hashlib
from pathlib import Path
from typing import Final

from pyiceberg.exceptions import NoSuchNamespaceError

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake

_KEY: Final = "nightshelf.champion_sha256."
"""Followed by the version: a property of the source's namespace."""


class ChampionError(ValueError):
    """A registered version is not one that was promoted."""


def files_sha256(folder: Path) -> str:
    """Return the SHA-256 over the names and contents of all files below the folder."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()


def record_champion(settings: Settings, source: str, version: str, sha256: str) -> None:
    """Record what the model files of a version are that is about to become champion."""
    catalog = Lake.open(settings, source).catalog
    catalog.create_namespace_if_not_exists(source)
    catalog.update_namespace_properties(source, updates={_KEY + version: sha256})


def recorded_champions(settings: Settings, source: str) -> dict[str, str]:
    """Return version -> SHA-256 of all versions that were ever promoted."""
    try:
        found = Lake.open(settings, source).catalog.load_namespace_properties(source)
    except NoSuchNamespaceError:
        return {}
    return {name.removeprefix(_KEY): value for name, value in found.items() if name.startswith(_KEY)}


def expected_sha256(settings: Settings, source: str, name: str, version: str) -> str | None:
    """Return what the model files of the version must be; None where no version was recorded yet.

    A champion from before checksums were recorded is accepted, and the caller then records it.

    Raises:
        ChampionError: other versions were recorded, this one was not.
    """
    recorded = recorded_champions(settings, source)
    if not recorded:
        return None
    if version not in recorded:
        promoted = ", ".join(sorted(recorded, key=int))
        raise ChampionError(
            f"{name} version {version} was not promoted by Nightshelf: its alias was moved in MLflow. Promoted were: "
            f"{promoted}. Move the alias back to one of them (in MLflow, or by the DAG roll_back_night), or remove the "
            "alias and run fine_tune_recommender with retrain=always"
        )
    return recorded[version]

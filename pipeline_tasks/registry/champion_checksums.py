"""Stores the SHA-256 of the model files of promoted versions in the lake's catalog, and checks versions before use.

A person with MLflow's login, or with access to its artifact store, can replace a model there. Without write access to
the lake, nobody can make Nightshelf use a model that it did not promote.
"""

import hashlib
from pathlib import Path
from typing import Final

from pyiceberg.exceptions import NoSuchNamespaceError

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake

_KEY: Final = "nightshelf.champion_sha256."
"""Prefix of the property of the source's namespace; the version follows."""


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

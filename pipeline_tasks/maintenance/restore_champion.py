"""Makes the version champion again that filled a night's shelves: the alias moves, no version is touched."""

from pyiceberg.table.snapshots import Snapshot

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.maintenance.publications import Publication
from pipeline_tasks.maintenance.restore_tables import state_at
from pipeline_tasks.registry.registry import champion_version, client, registry
from pipeline_tasks.run_key import RunKey

_SHELVES = ("recommendations", "fallback_recommendations")
"""The second also on nights of anonymous sessions alone."""


def champion_of(lake: Lake, publication: Publication) -> str | None:
    """Return the version that filled the publication's shelves, None where they do not tell.

    What served is the record of who was champion: an alias has no history, and a promotion may come to nothing.
    """
    day = (publication.night, publication.night)
    for name in _SHELVES:
        snapshot: Snapshot | None = state_at(lake, name, publication.until_ms)
        if snapshot is not None:
            rows = lake.read(name, day, ("model_version",), snapshot_id=snapshot.snapshot_id)
            for made_by in set(rows["model_version"].to_pylist()):
                return str(made_by).rpartition("/")[2]
    return None


def restore_champion(settings: Settings, night: RunKey, version: str) -> str:
    """Move the alias to `version` of the night's source; return what was and what is, in one sentence.

    Raises:
        ValueError: the registry has no such version any more, or it is not ready.
    """
    api, name, alias = client(settings), registry().model_name(night), registry().alias
    present = champion_version(settings, night)
    if present is not None and str(present.version) == version:
        return f"{name}: version {version} is {alias} already"
    kept = {str(one.version): one for one in api.search_model_versions(f"name='{name}'")}
    if version not in kept:
        there = ", ".join(sorted(kept, key=int)) or "none"
        raise ValueError(
            f"{name} has no version {version}, which filled the shelves of {night.ds}; there are: {there}. Choose "
            "another night, or retrain (fine_tune_recommender with retrain=always)"
        )
    if kept[version].status != "READY":
        raise ValueError(f"{name} version {version} is {kept[version].status}, not READY: choose another night")
    api.set_registered_model_alias(name, alias, version)
    was = f"version {present.version}" if present is not None else "nobody"
    return f"{name}: {alias} was {was}, is version {version}"

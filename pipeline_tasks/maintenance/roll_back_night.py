"""Chooses the publication to go back to, and restores the champion, the gold tables, or both."""

from datetime import date
from typing import Final

from pyiceberg.table.snapshots import Snapshot

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import maintenance_lock
from pipeline_tasks.maintenance.publications import Publication, publications
from pipeline_tasks.maintenance.restore_tables import Restored, require_snapshots, restore_tables, snapshot_at
from pipeline_tasks.maintenance.rollback_target import RollbackTarget, What
from pipeline_tasks.registry.registry import champion_version, client, registry, set_champion
from pipeline_tasks.run_key import RunKey

_VERSIONED: Final = ("recommendations", "fallback_recommendations")
"""Tables with the model version of a day. Days of only anonymous sessions have rows in the second alone."""


def choose_rollback_target(settings: Settings, source: str, what: What, day: date | None = None) -> RollbackTarget:
    """Return the newest publication of `day`; without it, the one before the present one.

    For the champion alone, that is the last publication by another version: where a gate closed after a promotion, the
    published recommendations are still those of the champion before.

    Raises:
        ValueError: there is no such publication, a snapshot of it has expired, or it does not name its version.
    """
    lake = Lake.open(settings, source).consistent_view()
    known = publications(lake)
    originals = [one for one in known if one.restored_ms is None]
    if day is not None:
        chosen = _of_day(originals, source, day)
    elif what == "champion":
        chosen = _of_another_champion(settings, lake, _until_present(known, originals, inclusive=True))
    else:
        chosen = _last(_until_present(known, originals, inclusive=False), source)
    if what != "champion":
        # Checked before the champion moves, because the tables are restored after it.
        require_snapshots(lake, chosen)
    version = _model_version(lake, chosen) if what != "tables" else None
    if what != "tables" and version is None:
        raise ValueError(
            f"The recommendations of {source} {chosen.ds} do not name a model version: choose another day, or restore "
            "only the tables"
        )
    return RollbackTarget(
        source=source, what=what, ds=chosen.ds, until_ms=chosen.until_ms, through=day, version=version
    )


def return_champion(settings: Settings, target: RollbackTarget) -> str:
    """Make the target's version champion; return the version before and after in one sentence.

    Raises:
        ValueError: the registry no longer has the version, or it is not ready.
    """
    if target.version is None:
        return "Only the tables were to be restored: the champion stays"
    return _restore_champion(settings, RunKey(target.source, target.ds), target.version)


def return_tables(settings: Settings, target: RollbackTarget) -> list[Restored]:
    """Restore the gold tables; return the state of each, an empty list where only the champion is to be restored.

    Raises:
        ValueError: a snapshot that is needed has expired. No table is changed.
        SourceBusyError: a job of the source runs.
    """
    if target.what == "champion":
        return []
    publication = Publication(target.ds, target.until_ms)
    with maintenance_lock(settings, target.source, "roll_back_night"):
        return restore_tables(Lake.open(settings, target.source), publication, target.through)


def _model_version(lake: Lake, publication: Publication) -> str | None:
    """Return the model version in the published rows, None where they name none.

    The published rows are the record of who was champion: an alias has no history, and a promoted version may never
    have served.
    """
    day = (publication.ds, publication.ds)
    for name in _VERSIONED:
        snapshot: Snapshot | None = snapshot_at(lake, name, publication.until_ms)
        if snapshot is not None:
            rows = lake.read(name, day, ("model_version",), snapshot_id=snapshot.snapshot_id)
            for made_by in set(rows["model_version"].to_pylist()):
                return str(made_by).rpartition("/")[2]
    return None


def _restore_champion(settings: Settings, key: RunKey, version: str) -> str:
    api, name, alias = client(settings), registry().model_name(key), registry().alias
    present = champion_version(settings, key)
    if present is not None and str(present.version) == version:
        return f"{name}: version {version} is {alias} already"
    registered = {str(one.version): one for one in api.search_model_versions(f"name='{name}'")}
    if version not in registered:
        versions = ", ".join(sorted(registered, key=int)) or "none"
        raise ValueError(
            f"{name} has no version {version}, which computed the recommendations of {key.ds}. Its versions: "
            f"{versions}. Choose another day, or retrain (fine_tune_recommender with retrain=always)"
        )
    if registered[version].status != "READY":
        raise ValueError(f"{name} version {version} is {registered[version].status}, not READY: choose another day")
    set_champion(settings, key, version)
    was = f"version {present.version}" if present is not None else "no version"
    return f"{name}: {alias} was {was}, is now version {version}"


def _of_day(originals: list[Publication], source: str, ds: date) -> Publication:
    of_day = [one for one in originals if one.ds == ds]
    if not of_day:
        days = ", ".join(sorted({one.ds.isoformat() for one in originals})) or "none"
        raise ValueError(f"No snapshot holds {source} {ds}: it was never published, or has expired. Days: {days}")
    return of_day[-1]


def _until_present(known: list[Publication], originals: list[Publication], *, inclusive: bool) -> list[Publication]:
    """Return the original publications before the present one, and that one too where `inclusive`."""
    if not known:
        return []
    present_ms = known[-1].until_ms if known[-1].restored_ms is None else known[-1].restored_ms
    return [one for one in originals if one.until_ms < present_ms or (inclusive and one.until_ms == present_ms)]


def _last(earlier: list[Publication], source: str) -> Publication:
    if not earlier:
        raise ValueError(f"{source} has nothing to go back to: no publication is older than the present one")
    return earlier[-1]


def _of_another_champion(settings: Settings, lake: Lake, earlier: list[Publication]) -> Publication:
    if not earlier:
        raise ValueError(f"{lake.source} has published no recommendations, so no earlier champion is known")
    present = champion_version(settings, RunKey(lake.source, earlier[-1].ds))
    others = [
        one for one in earlier if present is None or _model_version(lake, one) not in (None, str(present.version))
    ]
    if not others:
        raise ValueError(
            f"{lake.source} has no recommendations of another champion than version "
            f"{present.version if present else '?'}: name a day, or retrain (fine_tune_recommender with retrain=always)"
        )
    return others[-1]

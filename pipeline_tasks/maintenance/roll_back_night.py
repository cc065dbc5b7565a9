"""Which publication to go back to, and the way back: the champion, the gold tables, or both."""

from datetime import date

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import maintenance_lock
from pipeline_tasks.maintenance.publications import Publication, publications
from pipeline_tasks.maintenance.restore_champion import champion_of, restore_champion
from pipeline_tasks.maintenance.restore_tables import Restored, require_states, restore_tables
from pipeline_tasks.maintenance.rollback_target import RollbackTarget, What
from pipeline_tasks.registry.registry import champion_version
from pipeline_tasks.run_key import RunKey


def choose_rollback_target(settings: Settings, source: str, what: What, to_night: date | None = None) -> RollbackTarget:
    """Return the newest publication of `to_night`; without it, the one before what is in force now.

    Of the champion alone, that is the last one whose shelves another version filled: after a gate has closed behind a
    promotion, tonight's shelves are still those of the champion before.

    Raises:
        ValueError: there is no such publication, a snapshot of it has expired, or it does not tell its version.
    """
    lake = Lake.open(settings, source).at_one_moment()
    known = publications(lake)
    made = [one for one in known if one.restored_ms is None]
    if to_night is not None:
        chosen = _of_night(made, source, to_night)
    elif what == "champion":
        chosen = _of_another_champion(settings, lake, _before(known, made, inclusive=True))
    else:
        chosen = _last(_before(known, made, inclusive=False), source)
    if what != "champion":
        # Here, and not when it is too late: by then the champion would have moved.
        require_states(lake, chosen)
    version = champion_of(lake, chosen) if what != "tables" else None
    if what != "tables" and version is None:
        raise ValueError(f"The shelves of {source} {chosen.night} do not tell which version filled them")
    return RollbackTarget(
        source=source, what=what, night=chosen.night, until_ms=chosen.until_ms, through=to_night, version=version
    )


def return_champion(settings: Settings, way: RollbackTarget) -> str:
    """Make the champion of then champion; return what was and what is."""
    if way.version is None:
        return "the champion was not asked for: it stays"
    return restore_champion(settings, RunKey(way.source, way.night), way.version)


def return_tables(settings: Settings, way: RollbackTarget) -> list[Restored]:
    """Bring the gold tables back; return what was and what is of each, nothing where they were not asked for."""
    if way.what == "champion":
        return []
    target = Publication(way.night, way.until_ms)
    with maintenance_lock(settings, way.source, "roll_back_night"):
        return restore_tables(Lake.open(settings, way.source), target, way.through)


def _of_night(made: list[Publication], source: str, night: date) -> Publication:
    of_night = [one for one in made if one.night == night]
    if not of_night:
        nights = ", ".join(sorted({one.night.isoformat() for one in made})) or "none"
        raise ValueError(
            f"No snapshot tells of the shelves of {source} {night}: never published, or expired. There are: {nights}"
        )
    return of_night[-1]


def _before(known: list[Publication], made: list[Publication], *, inclusive: bool) -> list[Publication]:
    """Return the makings up to the one in force; without it, unless `inclusive`."""
    if not known:
        return []
    in_force = known[-1].until_ms if known[-1].restored_ms is None else known[-1].restored_ms
    return [one for one in made if one.until_ms < in_force or (inclusive and one.until_ms == in_force)]


def _last(earlier: list[Publication], source: str) -> Publication:
    if not earlier:
        raise ValueError(f"{source} has nothing to go back to: no snapshot is older than what is in force")
    return earlier[-1]


def _of_another_champion(settings: Settings, lake: Lake, earlier: list[Publication]) -> Publication:
    if not earlier:
        raise ValueError(f"{lake.source} has published no shelves: nothing tells who was champion before")
    present = champion_version(settings, RunKey(lake.source, earlier[-1].night))
    others = [one for one in earlier if present is None or champion_of(lake, one) not in (None, str(present.version))]
    if not others:
        raise ValueError(
            f"{lake.source} has no shelves of another champion than version {present.version if present else '?'}: "
            "name a night, or retrain (fine_tune_recommender with retrain=always)"
        )
    return others[-1]

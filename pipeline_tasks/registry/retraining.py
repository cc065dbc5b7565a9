"""Is a retrain due tonight? Asked by the DAG before it occupies the GPU."""

from datetime import date, timedelta
from typing import Final

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.registry.registry import champion_version
from pipeline_tasks.registry.served_policy import settings_tag
from pipeline_tasks.run_key import RunKey

LEARNED_FROM_ERASED: Final = "shopper_forgotten"
"""Tag of a version that learned from a user who was forgotten since: the day of that."""
_ALIKE: Final = 0.1
"""Of its days, by how much a window may differ from the champion's."""


def why_retrain(settings: Settings, night: RunKey) -> str | None:
    """Return why a retrain is due, in one sentence for the task's log, or None when the champion may stay."""
    champion = champion_version(settings, night)
    if champion is None:
        return f"{night.source} has no champion yet"
    name = f"champion {champion.name} version {champion.version}"
    splits = Lake.open(settings, night.source).read("splits", (night.ds, night.ds)).to_pylist()
    if reason := _outdated(champion.tags, settings):
        return f"{name} {reason}"
    made = date.fromisoformat(champion.tags["ds"])
    if made == night.ds:
        same = any(split["split_id"] == champion.tags["split_id"] for split in splits)
        return None if same else f"{name} was made from another split of {night.ds}: {champion.tags['split_id']}"
    for split in splits:
        found, wanted = champion.tags["strategy"], split["strategy"]
        if found != wanted:
            return f"{name} was made from split strategy {found}, tonight has {wanted}"
        days, window = int(champion.tags["window_days"]), (night.ds - split["window_start"]).days + 1
        if differ(days, window, made - timedelta(days - 1) == split["window_start"]):
            return f"{name} was made from a window of {days} days, tonight has {window}"
    return _too_old(name, (night.ds - made).days, settings.training.retrain_every_days)


def _outdated(tags: dict[str, str], settings: Settings) -> str | None:
    """Return why a champion with these tags may not stay, whatever its age: what it was made from, or judged by, no
    longer holds."""
    if LEARNED_FROM_ERASED in tags:
        return f"was trained with a user who was erased on {tags[LEARNED_FROM_ERASED]}"
    judged, wanted = tags.get("repeat_settings"), settings_tag(settings.scoring)
    return None if judged in (None, wanted) else f"was judged with {judged}, the settings now say {wanted}"


def _too_old(name: str, age: int, every: int) -> str | None:
    return f"{name} is {age} days old, a retrain is due every {every}" if age >= every else None


def differ(days: int, window: int, same_start: bool) -> bool:
    """Return whether two windows are of different choices.

    One that holds a whole log grows by the night from the same start; one that holds the latest records of a longer log
    is some days longer or shorter every night.
    """
    return not same_start and abs(days - window) > _ALIKE * window

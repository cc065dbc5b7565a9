"""Decides whether a retrain is due, before a GPU is used."""

from datetime import date, timedelta
from typing import Final

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.registry.registry import champion_version
from pipeline_tasks.registry.served_policy import settings_tag
from pipeline_tasks.run_key import RunKey

LEARNED_FROM_ERASED: Final = "shopper_forgotten"
"""Tag of a version that was trained with a user who was erased later: the day of the erasure."""
_WINDOW_TOLERANCE: Final = 0.1
"""Share of its days by which a window may differ from the champion's."""


def retrain_reason(settings: Settings, key: RunKey) -> str | None:
    """Return why a retrain is due, in one sentence for the task's log; None where the champion may stay."""
    champion = champion_version(settings, key)
    if champion is None:
        return f"{key.source} has no champion yet"
    name = f"champion {champion.name} version {champion.version}"
    splits = Lake.open(settings, key.source).read("splits", (key.ds, key.ds)).to_pylist()
    if reason := _outdated(champion.tags, settings):
        return f"{name} {reason}"
    made = date.fromisoformat(champion.tags["ds"])
    if made == key.ds:
        same = any(split["split_id"] == champion.tags["split_id"] for split in splits)
        return None if same else f"{name} was made from another split of {key.ds}: {champion.tags['split_id']}"
    for split in splits:
        found, wanted = champion.tags["strategy"], split["strategy"]
        if found != wanted:
            return f"{name} was made from split strategy {found}, this run has {wanted}"
        days, window = int(champion.tags["window_days"]), (key.ds - split["window_start"]).days + 1
        if is_other_window(days, window, made - timedelta(days - 1) == split["window_start"]):
            return f"{name} was made from a window of {days} days, this run has {window}"
    return _too_old(name, (key.ds - made).days, settings.training.retrain_every_days)


def _outdated(tags: dict[str, str], settings: Settings) -> str | None:
    """Return why a champion with these tags may not stay, whatever its age; None where it may.

    It was trained with an erased user, or evaluated with other settings of repeats.
    """
    if LEARNED_FROM_ERASED in tags:
        return f"was trained with a user who was erased on {tags[LEARNED_FROM_ERASED]}"
    evaluated, wanted = tags.get("repeat_settings"), settings_tag(settings.scoring)
    return None if evaluated in (None, wanted) else f"was evaluated with {evaluated}, the settings are now {wanted}"


def _too_old(name: str, age: int, every: int) -> str | None:
    return f"{name} is {age} days old, a retrain is due every {every}" if age >= every else None


def is_other_window(days: int, window: int, same_start: bool) -> bool:
    """Return whether a window of `window` days is another choice than the champion's window of `days` days.

    The window of a whole log grows every day from the same start. The window of the latest records of a longer log
    varies by some days.
    """
    return not same_start and abs(days - window) > _WINDOW_TOLERANCE * window

"""Is a retrain due tonight? Asked by the DAG before it occupies the GPU."""

from datetime import date

from pipeline_tasks.champion.registry import champion_version
from pipeline_tasks.night import Night
from pipeline_tasks.settings import Settings
from pipeline_tasks.storage.lake import Lake


def why_retrain(settings: Settings, night: Night) -> str | None:
    """Return why a retrain is due, in one sentence for the task's log, or None when the champion may stay."""
    champion = champion_version(settings, night)
    if champion is None:
        return f"{night.source} has no champion yet"
    name = f"champion {champion.name} version {champion.version}"
    splits = Lake.open(settings, night.source).read("splits", (night.ds, night.ds)).to_pylist()
    made = date.fromisoformat(champion.tags["ds"])
    if made == night.ds:
        same = any(split["split_id"] == champion.tags["split_id"] for split in splits)
        return None if same else f"{name} was made from another split of {night.ds}: {champion.tags['split_id']}"
    for split in splits:
        window = (night.ds - split["window_start"]).days + 1
        found, wanted = (champion.tags["strategy"], champion.tags["window_days"]), (split["strategy"], str(window))
        if found != wanted:
            return f"{name} was made from split strategy and window {found}, tonight has {wanted}"
    age = (night.ds - made).days
    if age >= settings.training.retrain_every_days:
        return f"{name} is {age} days old, a retrain is due every {settings.training.retrain_every_days}"
    return None

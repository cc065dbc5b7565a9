"""The schedule of the nightly run and its time zone."""

from pathlib import Path

import pytest

from pipeline_tasks.config.settings import settings

pytestmark = pytest.mark.slow

TOML = """
name = "shop"
timezone = "America/Los_Angeles"
[events]
path = "events-{ds}.csv"
[events.columns]
ts = "time"
event_type = "kind"
item_id = "item"
"""


@pytest.mark.parametrize(
    ("variables", "zone", "expression"),
    [
        ({}, "UTC", "0 2 * * *"),
        ({"SOURCE": "shop.toml", "SCHEDULE": "30 3 * * *"}, "America/Los_Angeles", "30 3 * * *"),
        ({"SOURCE": "gone.toml"}, "UTC", "0 2 * * *"),
    ],
)
def test_the_schedule_follows_the_nightly_sources_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], zone: str, expression: str
) -> None:
    from run_schedule import nightly_schedule

    (tmp_path / "shop.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    for name, value in variables.items():
        monkeypatch.setenv(f"NIGHTSHELF_{name}", value)
    settings.cache_clear()
    try:
        schedule = nightly_schedule()
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert (str(schedule.timezone), schedule.expression) == (zone, expression)

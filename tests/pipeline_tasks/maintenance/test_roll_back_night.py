"""Rollbacks of a real lake and a real MLflow store."""

from datetime import UTC, date, datetime

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target, return_champion, return_tables
from pipeline_tasks.maintenance.rollback_target import What
from pipeline_tasks.registry.registry import champion_version, client
from pipeline_tasks.run_key import RunKey
from tests.pipeline_tasks.maintenance.published_shop import FIRST, SECOND, SOURCE, THIRD, publish_day, published_items

MODEL = f"nightshelf-{SOURCE}"


@pytest.fixture(autouse=True)
def three_days(settings: Settings) -> None:
    """Publish three days, each by a champion of its own."""
    api = client(settings)
    api.create_registered_model(MODEL)
    for number, ds in enumerate((FIRST, SECOND, THIRD), start=1):
        api.create_model_version(MODEL, source=f"file://{settings.home}/artifacts/{number}")
        api.set_registered_model_alias(MODEL, "champion", str(number))
        publish_day(settings, ds, str(number))


def champion(settings: Settings) -> str:
    present = champion_version(settings, RunKey(SOURCE, THIRD))
    assert present is not None
    return str(present.version)


def roll_back(settings: Settings, what: What = "both", to_night: date | None = None) -> list[str]:
    target = choose_rollback_target(settings, SOURCE, what, to_night)
    return [return_champion(settings, target), *map(str, return_tables(settings, target))]


def test_the_day_before_is_restored_and_the_change_is_reported(settings: Settings) -> None:
    lines = roll_back(settings)
    assert lines[0] == f"{MODEL}: champion was version 3, is now version 2"
    assert lines[-1] == "recommendations: newest day was 2026-11-21, is now 2026-11-20"
    assert champion(settings) == "2"
    assert published_items(settings) == {FIRST: {"i1"}, SECOND: {"i2"}}
    assert published_items(settings, "user_profiles") == {FIRST: {"1"}, SECOND: {"2"}}


def test_a_rollback_is_one_more_snapshot_and_can_be_undone(settings: Settings) -> None:
    lake = Lake.open(settings, SOURCE)
    before = lake.snapshot_id("recommendations")
    roll_back(settings, "tables")
    table = lake.table("recommendations")
    now = table.current_snapshot()
    assert now is not None
    assert now.parent_snapshot_id == before, "a branch that moved back would have lost it"
    assert lake.read("recommendations", (THIRD, THIRD), snapshot_id=before).num_rows == 2
    roll_back(settings, "tables", THIRD)
    assert set(published_items(settings)) == {FIRST, SECOND, THIRD}


def test_a_second_rollback_to_a_day_changes_nothing(settings: Settings) -> None:
    roll_back(settings, to_night=SECOND)
    snapshot = Lake.open(settings, SOURCE).snapshot_id("recommendations")
    lines = roll_back(settings, to_night=SECOND)
    assert lines[0] == f"{MODEL}: version 2 is champion already"
    assert lines[-1] == "recommendations: unchanged, newest day 2026-11-20"
    assert Lake.open(settings, SOURCE).snapshot_id("recommendations") == snapshot


def test_a_repeated_rollback_ends_at_the_same_publication(settings: Settings) -> None:
    target = choose_rollback_target(settings, SOURCE, "both")
    for _ in range(2):
        return_champion(settings, target)
        return_tables(settings, target)
    assert (champion(settings), set(published_items(settings))) == ("2", {FIRST, SECOND})
    roll_back(settings)
    assert (champion(settings), set(published_items(settings))) == ("1", {FIRST}), "a new run goes one further"


def test_a_day_that_was_published_twice_is_restored_to_its_first_rows(settings: Settings) -> None:
    publish_day(settings, THIRD, "2")
    assert published_items(settings)[THIRD] == {"i2"}
    roll_back(settings, "tables")
    assert published_items(settings) == {FIRST: {"i1"}, SECOND: {"i2"}, THIRD: {"i3"}}


def test_the_newest_rows_of_a_named_day_stay_and_later_days_are_removed(settings: Settings) -> None:
    publish_day(settings, SECOND, "3")
    roll_back(settings, "tables", SECOND)
    assert published_items(settings) == {FIRST: {"i1"}, SECOND: {"i3"}}


def test_after_a_gate_that_failed_behind_a_promotion_only_the_champion_is_restored(settings: Settings) -> None:
    api = client(settings)
    api.create_model_version(MODEL, source="file:///nowhere/4")
    api.set_registered_model_alias(MODEL, "champion", "4")
    roll_back(settings, "champion")
    assert champion(settings) == "3", "recommendations that were never published do not count"
    assert set(published_items(settings)) == {FIRST, SECOND, THIRD}
    roll_back(settings, "champion")
    assert champion(settings) == "2"


def test_a_run_after_a_rollback_continues_from_it(settings: Settings) -> None:
    roll_back(settings, "tables")
    publish_day(settings, THIRD, "2")
    assert published_items(settings) == {FIRST: {"i1"}, SECOND: {"i2"}, THIRD: {"i2"}}
    roll_back(settings, "tables")
    assert published_items(settings)[THIRD] == {"i3"}, "the rows before, which a snapshot still holds"


def test_an_impossible_rollback_is_refused_and_changes_nothing(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"shop 2026-11-30: it was never published, or has expired. Days: 2026"):
        choose_rollback_target(settings, SOURCE, "both", date(2026, 11, 30))
    with pytest.raises(ValueError, match="empty has nothing to go back to"):
        choose_rollback_target(settings, "empty", "tables")
    target = choose_rollback_target(settings, SOURCE, "both", FIRST)
    client(settings).delete_model_version(MODEL, "1")
    with pytest.raises(
        ValueError, match=r"no version 1, which computed the recommendations of 2026-11-19. Its versions: 2, 3"
    ):
        return_champion(settings, target)
    Lake.open(settings, SOURCE).table("user_profiles").maintenance.expire_snapshots().older_than(
        datetime.now(UTC)
    ).commit()
    before = published_items(settings)
    for refused in (
        lambda: return_tables(settings, target),
        lambda: choose_rollback_target(settings, SOURCE, "both", FIRST),
    ):
        with pytest.raises(ValueError, match=r"shop.user_profiles cannot go back: its snapshot .* has expired"):
            refused()
    assert published_items(settings) == before


def test_before_the_first_day_there_is_nothing(settings: Settings) -> None:
    roll_back(settings, "tables", FIRST)
    with pytest.raises(ValueError, match="shop has nothing to go back to"):
        roll_back(settings, "tables")

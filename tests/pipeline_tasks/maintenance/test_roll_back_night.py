"""Rolling back against a real lake and a real MLflow store."""

from datetime import UTC, date, datetime

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target, return_champion, return_tables
from pipeline_tasks.maintenance.rollback_target import What
from pipeline_tasks.registry.registry import champion_version, client
from pipeline_tasks.run_key import RunKey
from tests.pipeline_tasks.maintenance.shelved_shop import FIRST, SECOND, SOURCE, THIRD, nights, publish_shelves

MODEL = f"nightshelf-{SOURCE}"


@pytest.fixture(autouse=True)
def three_nights(settings: Settings) -> None:
    """Three nights, each filled by a champion of its own."""
    api = client(settings)
    api.create_registered_model(MODEL)
    for number, ds in enumerate((FIRST, SECOND, THIRD), start=1):
        api.create_model_version(MODEL, source=f"file://{settings.home}/artifacts/{number}")
        api.set_registered_model_alias(MODEL, "champion", str(number))
        publish_shelves(settings, ds, str(number))


def champion(settings: Settings) -> str:
    present = champion_version(settings, RunKey(SOURCE, THIRD))
    assert present is not None
    return str(present.version)


def roll_back(settings: Settings, what: What = "both", to_night: date | None = None) -> list[str]:
    way = choose_rollback_target(settings, SOURCE, what, to_night)
    return [return_champion(settings, way), *map(str, return_tables(settings, way))]


def test_the_night_before_is_back_for_every_reader_and_says_what_was(settings: Settings) -> None:
    said = roll_back(settings)
    assert said[0] == f"{MODEL}: champion was version 3, is version 2"
    assert said[-1] == "recommendations: newest night was 2026-11-21, is 2026-11-20"
    assert champion(settings) == "2"
    assert nights(settings) == {FIRST: {"i1"}, SECOND: {"i2"}}
    assert nights(settings, "user_profiles") == {FIRST: {"1"}, SECOND: {"2"}}


def test_the_way_back_is_one_more_snapshot_and_can_itself_be_undone(settings: Settings) -> None:
    lake = Lake.open(settings, SOURCE)
    before = lake.snapshot_id("recommendations")
    roll_back(settings, "tables")
    table = lake.table("recommendations")
    now = table.current_snapshot()
    assert now is not None
    assert now.parent_snapshot_id == before, "a branch that moved back would have lost it"
    assert lake.read("recommendations", (THIRD, THIRD), snapshot_id=before).num_rows == 2
    roll_back(settings, "tables", THIRD)
    assert set(nights(settings)) == {FIRST, SECOND, THIRD}


def test_going_back_to_a_night_again_changes_nothing(settings: Settings) -> None:
    roll_back(settings, to_night=SECOND)
    snapshot = Lake.open(settings, SOURCE).snapshot_id("recommendations")
    said = roll_back(settings, to_night=SECOND)
    assert said[0] == f"{MODEL}: version 2 is champion already"
    assert said[-1] == "recommendations: as it was, newest night 2026-11-20"
    assert Lake.open(settings, SOURCE).snapshot_id("recommendations") == snapshot


def test_a_settled_way_is_followed_to_the_same_place_again(settings: Settings) -> None:
    way = choose_rollback_target(settings, SOURCE, "both")
    for _ in range(2):
        return_champion(settings, way)
        return_tables(settings, way)
    assert (champion(settings), set(nights(settings))) == ("2", {FIRST, SECOND})
    roll_back(settings)
    assert (champion(settings), set(nights(settings))) == ("1", {FIRST}), "a new run goes one further"


def test_the_same_night_made_again_goes_back_to_its_earlier_making(settings: Settings) -> None:
    publish_shelves(settings, THIRD, "2")
    assert nights(settings)[THIRD] == {"i2"}
    roll_back(settings, "tables")
    assert nights(settings) == {FIRST: {"i1"}, SECOND: {"i2"}, THIRD: {"i3"}}


def test_of_a_named_night_the_newest_making_stays_and_later_nights_go(settings: Settings) -> None:
    publish_shelves(settings, SECOND, "3")
    roll_back(settings, "tables", SECOND)
    assert nights(settings) == {FIRST: {"i1"}, SECOND: {"i3"}}


def test_a_closed_gate_behind_a_promotion_takes_back_the_champion_alone(settings: Settings) -> None:
    api = client(settings)
    api.create_model_version(MODEL, source="file:///nowhere/4")
    api.set_registered_model_alias(MODEL, "champion", "4")
    roll_back(settings, "champion")
    assert champion(settings) == "3", "tonight's shelves, which never came, are not counted"
    assert set(nights(settings)) == {FIRST, SECOND, THIRD}
    roll_back(settings, "champion")
    assert champion(settings) == "2"


def test_a_night_after_a_way_back_goes_on_from_there(settings: Settings) -> None:
    roll_back(settings, "tables")
    publish_shelves(settings, THIRD, "2")
    assert nights(settings) == {FIRST: {"i1"}, SECOND: {"i2"}, THIRD: {"i2"}}
    roll_back(settings, "tables")
    assert nights(settings)[THIRD] == {"i3"}, "the making before, which the snapshots still tell of"


def test_what_cannot_be_is_refused_and_nothing_is_changed(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"shelves of shop 2026-11-30: never published, or expired. There are: 2026"):
        choose_rollback_target(settings, SOURCE, "both", date(2026, 11, 30))
    with pytest.raises(ValueError, match="empty has nothing to go back to"):
        choose_rollback_target(settings, "empty", "tables")
    way = choose_rollback_target(settings, SOURCE, "both", FIRST)
    client(settings).delete_model_version(MODEL, "1")
    with pytest.raises(ValueError, match=r"has no version 1, which filled the shelves of 2026-11-19; there are: 2, 3"):
        return_champion(settings, way)
    Lake.open(settings, SOURCE).table("user_profiles").maintenance.expire_snapshots().older_than(
        datetime.now(UTC)
    ).commit()
    before = nights(settings)
    for refused in (
        lambda: return_tables(settings, way),
        lambda: choose_rollback_target(settings, SOURCE, "both", FIRST),
    ):
        with pytest.raises(ValueError, match=r"shop.user_profiles cannot go back: its snapshot .* has expired"):
            refused()
    assert nights(settings) == before


def test_before_the_first_night_there_is_nothing(settings: Settings) -> None:
    roll_back(settings, "tables", FIRST)
    with pytest.raises(ValueError, match="shop has nothing to go back to"):
        roll_back(settings, "tables")

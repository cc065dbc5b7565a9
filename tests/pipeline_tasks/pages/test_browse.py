import re
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.pages import browse, table_reader
from pipeline_tasks.pages.pages import browse_page, suggested_queries
from pipeline_tasks.pages.rendering import figure, shorten
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from tests.pipeline_tasks.pages.page_shop import (
    LONG,
    MONDAY,
    QUOTED,
    REVERSED,
    SCRIPT,
    SOURCE,
    TUESDAY,
)
from tests.pipeline_tasks.pages.tags import Tags


def test_a_user_has_history_recommendations_and_the_ranks_of_the_night_before(shop: Settings) -> None:
    found = browse.show_user(shop, SOURCE, TUESDAY, MONDAY, "ann")
    assert [(row["item_id"], row["event_type"]) for row in found["history"]] == [("i1", "purchase"), ("i2", "view")]
    assert [row["item_id"] for row in found["listed"]] == ["i1", "i2", "i3", "i4", "i5", "i6"]
    assert [row["earlier"] for row in found["listed"]] == [3, 2, 1, None, None, None]
    assert (found["fallback"], found["intent"]) == (False, {"probability": 0.25})


def test_a_user_without_recommendations_gets_those_for_everyone(shop: Settings) -> None:
    found = browse.show_user(shop, SOURCE, TUESDAY, MONDAY, "bob")
    assert (found["fallback"], [row["item_id"] for row in found["listed"]]) == (True, ["i1", "i2"])
    assert "these are for everyone" in browse_page(SOURCE, "", "user", "bob")


def test_an_unknown_key_lists_the_keys_that_begin_with_it(shop: Settings) -> None:
    assert [row["user_key"] for row in browse.show_user(shop, SOURCE, TUESDAY, None, "a")["matches"]] == ["ann"]
    assert browse.show_user(shop, SOURCE, TUESDAY, None, "%")["matches"] == []


def test_an_item_has_neighbors_audience_outlook_and_buyers(shop: Settings) -> None:
    found = browse.show_item(shop, SOURCE, TUESDAY, "i1")
    assert [row["item_id"] for row in found["similar"] + found["next"]] == ["i2", "i5"]
    assert [row["user_key"] for row in found["audience"]] == ["ann"]
    assert [(row["user_key"], row["quantity"]) for row in found["buyers"]] == [("ann", 4.0)]
    assert found["outlook"][0]["expected"] == 1.25


@pytest.mark.parametrize(("text", "items"), [("LAMP", ["i1"]), ("i", ["i5", "i2", "i1", "i4", "i3", "i6"]), ("%", [])])
def test_an_item_is_found_by_title_or_id(shop: Settings, text: str, items: list[str]) -> None:
    matches = [row["item_id"] for row in browse.show_item(shop, SOURCE, TUESDAY, text)["matches"]]
    assert sorted(matches) == sorted(items)


def test_a_query_has_results_and_a_prefix_has_suggestions(shop: Settings) -> None:
    assert len(browse.show_query(shop, SOURCE, TUESDAY, " Red LAMP ")["results"]) == 6
    assert suggested_queries("", "", "RE") == ["red lamp"]
    assert suggested_queries("", "", " ") == []


@pytest.mark.parametrize(
    ("kind", "text"),
    [("user", "ann"), ("user", ""), ("item", "i1"), ("item", "i2"), ("item", "i"), ("query", "red lamp")],
)
def test_texts_of_a_shop_stay_texts(shop: Settings, kind: str, text: str) -> None:
    page = browse_page(SOURCE, TUESDAY.isoformat(), kind, text)
    tags = Tags(page)
    assert (tags.scripts, tags.handlers) == (["pages.js"], [])
    assert not [tag for tag, _ in tags.tags if tag == "img"]
    assert LONG not in page
    # A mark that reverses the direction of text ends with the element that isolates it.
    assert page.count(REVERSED) == len(re.findall(f"<bdi>{REVERSED}</bdi>", page))


def test_hostile_titles_are_shown_as_they_are(shop: Settings) -> None:
    shown = Tags(browse_page(SOURCE, "", "user", "ann")).text
    assert SCRIPT in shown
    assert QUOTED in shown
    assert REVERSED in shown


@pytest.mark.parametrize("text", [SCRIPT, QUOTED, "' OR 1=1 --", "\x00", "é%_\\"])
@pytest.mark.parametrize("kind", ["user", "item", "query"])
def test_a_hostile_text_finds_nothing_and_stays_text(shop: Settings, kind: str, text: str) -> None:
    page = browse_page(SOURCE, "", kind, text)
    assert (Tags(page).scripts, Tags(page).handlers) == (["pages.js"], [])


def test_a_source_or_a_day_that_is_not_there_is_named(shop: Settings) -> None:
    with pytest.raises(ValueError, match="Source nobody has no tables: choose one of shop"):
        browse_page("nobody", "", "user", "ann")
    with pytest.raises(ValueError, match="shop has published nothing for 2026-11-18: choose one of 2026-11-17"):
        browse_page(SOURCE, "2026-11-18", "user", "ann")
    with pytest.raises(ValueError, match="kind shop cannot be shown: choose one of user, item, query"):
        browse_page(SOURCE, "", "shop", "ann")


def test_an_empty_lake_says_how_to_fill_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path))
    settings.cache_clear()
    page = browse_page("", "", "user", "")
    settings.cache_clear()
    assert "nightshelf run" in page


def test_a_query_that_takes_too_long_is_ended(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_reader, "_SECONDS", 0.3)
    with (
        table_reader.open_tables(shop, SOURCE, {}) as reader,
        pytest.raises(TimeoutError, match="Reading the tables took longer"),
    ):
        reader.rows("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 3")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(9.0455, "9.05"), (0.0313, "0.0313"), (8.0, "8.00"), (123.4, "123"), (12345.6, "12,346"), (None, "-")],
)
def test_a_score_has_three_digits(value: float | None, shown: str) -> None:
    assert figure(value) == shown


def test_a_long_text_is_cut() -> None:
    assert (shorten("x" * 200), shorten(None)) == ("x" * 159 + "…", "")


def test_a_new_night_is_seen_at_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert table_reader.published_days(settings, SOURCE) == []
    lake = Lake.open(settings, SOURCE)
    for day in (MONDAY, TUESDAY):
        row = {
            "segment": "everyone",
            "rank": 1,
            "item_id": str(day),
            "score": 1.0,
            "reason": "",
            "model_version": "m/1",
        }
        schema = arrow_schema(TABLES["fallback_recommendations"])
        table = pa.Table.from_pylist([row | {"ds": day}], schema=schema)
        lake.commit("fallback_recommendations", [day], lake.write_arrow("fallback_recommendations", table))
        assert table_reader.published_days(settings, SOURCE)[0] == day
        with table_reader.open_tables(settings, SOURCE, {"fallback_recommendations": (day, day)}) as reader:
            assert reader.rows("SELECT item_id FROM fallback_recommendations") == [{"item_id": str(day)}]

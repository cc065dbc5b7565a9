from typing import Any

import pytest

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.pages import tonight
from pipeline_tasks.pages.pages import Choice, tonight_page
from tests.pipeline_tasks.pages.page_shop import MONDAY, SCRIPT, SOURCE, TUESDAY
from tests.pipeline_tasks.pages.tags import Tags


def no_runs(choice: Choice) -> list[dict[str, Any]]:
    return []


def night(shop: Settings) -> dict[str, Any]:
    return tonight.show_night(shop, SOURCE, [TUESDAY, MONDAY], TUESDAY, MONDAY)


def test_figures_are_those_of_the_night_and_of_the_night_before(shop: Settings) -> None:
    figures = {figure.label: (figure.value, figure.before) for figure in night(shop)["figures"]}
    assert figures["Event rows read"] == (11, 10)
    assert figures["Events"] == (8, 7)
    assert figures["Quarantine"] == (3, 2)
    assert figures["Duplicates"] == (2, 1)
    assert figures["Users"] == (2, 2)
    assert figures["Recommendations"] == (6, 3)
    assert figures["Users with recommendations"] == (1, 1)


def test_refused_rows_are_counted_by_rule(shop: Settings) -> None:
    rejected = [(row["outcome"], row["rule"], row["rows"], row["before"]) for row in night(shop)["rejected"]]
    assert rejected == [("quarantine", "missing_item", 3, 2), ("duplicate", "exact", 2, 1)]


def test_users_with_another_first_item_are_counted(shop: Settings) -> None:
    changed = night(shop)["changed"]
    assert (changed["users"], changed["changed"]) == (1, 1)


def test_scorers_are_compared_best_first_with_their_intervals(shop: Settings) -> None:
    compared = night(shop)["compared"]
    assert [(row.scorer, row.kind) for row in compared] == [
        ("champion", "champion"),
        ("two_tower", "challenger"),
        ("popularity", "baseline"),
    ]
    assert (compared[0].value, compared[0].low, compared[0].high, compared[0].difference) == (0.2, 0.18, 0.22, -0.1)


def test_candidates_of_another_split_are_left_out(shop: Settings) -> None:
    assert [candidate.name for candidate in night(shop)["candidates"]] == ["frozen"]


def test_past_nights_are_listed(shop: Settings) -> None:
    assert [(row["ds"], row["events"]) for row in night(shop)["nights"]] == [(TUESDAY, 8), (MONDAY, 7)]


def test_the_page_has_verdict_reasons_findings_and_links(shop: Settings) -> None:
    def runs(choice: Choice) -> list[dict[str, Any]]:
        run = {"dag": "prepare_behavior", "state": "failed", "night": str(choice.ds), "chosen": True, "start": None}
        return [run | {"seconds": 75.0, "href": "../dags/prepare_behavior/runs/r"}]

    page = Tags(tonight_page(SOURCE, "", runs))
    links = [attributes.get("href") for tag, attributes in page.tags if tag == "a"]
    assert "http://127.0.0.1:8090/validations/items/page.html" in links
    assert {"http://127.0.0.1:5000/#/runs/r1", "http://127.0.0.1:5000/#/runs/p1"} <= set(links)
    assert "../dags/prepare_behavior/runs/r" in links
    assert f"tonight?source=shop&ds={MONDAY}" in links
    assert "is not promoted" in page.text
    assert "1:15" in page.text
    # Texts of reasons and findings are shown as they are.
    assert f"is worse than champion {SCRIPT}" in page.text
    assert f"observed {SCRIPT}" in page.text
    assert (page.scripts, page.handlers) == (["pages.js"], [])


def test_a_night_without_reports_shows_its_tables(shop: Settings) -> None:
    page = tonight_page(SOURCE, MONDAY.isoformat(), no_runs)
    assert "No evaluation on this machine." in page
    assert page.count("no report on this machine") == 3
    assert "Before</th>" not in page


def test_a_login_in_the_address_of_mlflow_is_not_shown(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_MLFLOW_TRACKING_URI", "https://admin:secret@mlflow.example")
    settings.cache_clear()
    page = tonight_page(SOURCE, "", no_runs)
    assert "https://mlflow.example/#/runs/r1" in page
    assert "secret" not in page

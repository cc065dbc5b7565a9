"""`nightshelf show` on two published nights."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from pipeline_tasks import cli
from pipeline_tasks.config.settings import settings
from tests.pipeline_tasks.pages.page_shop import MONDAY, TUESDAY, write_page_shop


@pytest.fixture(scope="module", autouse=True)
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NIGHTSHELF_HOME", str(tmp_path_factory.mktemp("home")))
        settings.cache_clear()
        write_page_shop(settings())
        yield
    settings.cache_clear()


def shown(*arguments: str) -> list[str]:
    """Return the lines of the output, without the frames of tables and with one space for many."""
    done = CliRunner().invoke(cli.app, ["show", *arguments])
    assert done.exit_code == 0, done.output
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in done.stdout.splitlines()]


def test_a_user_has_facts_history_and_recommendations() -> None:
    lines = shown("user", "ann")
    assert lines[0] == f"user ann of shop, run of {TUESDAY}"
    assert lines[1] == "segment loyal, events 7, recency_days 0, top_categories Home > Lamps"
    assert "2026-11-17 08:30:00 purchase Red lamp i1" in lines
    assert any(line.startswith("1 Red lamp i1 9.046 because of") for line in lines), lines
    assert lines.index("History, newest first") < lines.index("Recommendations")


def test_a_title_cannot_turn_the_text_of_a_terminal() -> None:
    assert "\u202e" not in "\n".join(shown("user", "ann"))


def test_a_user_without_recommendations_gets_those_for_everyone() -> None:
    lines = shown("user", "bob")
    assert "This user has no recommendations of their own; these are for everyone." in lines
    assert any(line.startswith("1 Red lamp i1") for line in lines)


def test_an_item_has_neighbors_audience_and_buyers() -> None:
    lines = shown("item", "i1")
    assert lines[1] == "title Red lamp, category Home > Lamps, price 5.000"
    assert {"1 ann -2.500", "2026-11-17 08:30:00 ann 4.000", "7 1.250 0.000 3.000"} <= set(lines)


def test_a_query_has_results_and_suggestions() -> None:
    assert any(line.startswith("1 Red lamp i1 9.046") for line in shown("query", "Red lamp"))
    assert "red lamp 4" in shown("query", "re")


def test_json_has_the_date_and_all_that_was_found() -> None:
    found = json.loads(CliRunner().invoke(cli.app, ["show", "user", "ann", "--json"]).stdout)
    assert (found["source"], found["ds"]) == ("shop", str(TUESDAY))
    assert [row["item_id"] for row in found["listed"]][:2] == ["i1", "i2"]
    assert str(MONDAY) not in {row["ds"] for row in found["listed"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["user", "an"], "shop has no user 'an' on 2026-11-17; is it one of ann?"),
        (["item", "lamp"], "shop has no item 'lamp' on 2026-11-17; is it one of i1?"),
        (["query", "boat"], "shop has no query 'boat' on 2026-11-17"),
    ],
)
def test_what_is_unknown_exits_with_3_and_names_what_is_alike(arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(cli.app, ["show", *arguments])
    assert (done.exit_code, done.stdout) == (3, "")
    assert message in done.stderr

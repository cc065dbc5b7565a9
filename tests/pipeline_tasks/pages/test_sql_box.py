from pathlib import Path

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.pages import sql_box
from pipeline_tasks.pages.pages import sql_page, sql_result_page
from pipeline_tasks.pages.sql_box import run_sql
from pipeline_tasks.tables.contracts import TABLES
from tests.pipeline_tasks.pages.page_shop import LONG, SCRIPT, SOURCE, TITLES
from tests.pipeline_tasks.pages.tags import Tags

SECRET = "the content of a file outside the lake"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that nobody may read."""
    file = tmp_path / "outside.csv"
    file.write_text(f"secret\n{SECRET}\n")
    return file


def test_a_statement_reads_tables_with_and_without_their_source(shop: Settings) -> None:
    statement = (
        "SELECT title FROM items JOIN shop.users u ON u.user_key = 'ann' AND u.ds = items.ds WHERE item_id = 'i1'"
    )
    result = run_sql(shop, SOURCE, statement)
    assert (list(result.names), result.rows, result.more) == (["title"], [["Red lamp"], ["Red lamp"]], False)


def test_a_statement_without_a_table_sees_them_all(shop: Settings) -> None:
    assert {name for (name,) in run_sql(shop, SOURCE, "SHOW TABLES").rows} == set(TABLES)


@pytest.mark.parametrize("name", ["recommendations", "reconciliation", "similar_items"])
def test_the_example_of_a_table_runs(shop: Settings, name: str) -> None:
    assert run_sql(shop, SOURCE, TABLES[name].example).rows


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM query('SELECT * FROM read_csv(''{file}'')')",
        "SELECT * FROM read_blob('{lake}/catalog.db')",
        "SELECT * FROM read_text('/proc/self/environ')",
        "SELECT * FROM read_parquet('https://127.0.0.1:9/x.parquet')",
        "COPY (SELECT 1) TO '{folder}/written.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/written.csv'",
        "SELECT * FROM query('COPY (SELECT 1) TO ''{folder}/written.csv''')",
        "COPY (SELECT 1 AS item_id) TO '{published}' (FORMAT parquet)",
        "EXPORT DATABASE '{folder}/written.csv'",
        "ATTACH '{folder}/written.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '64GB'",
        "PRAGMA database_list",
        "DROP VIEW items",
        "CREATE TABLE taken AS SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; SET threads = 64",
        "",
    ],
)
def test_a_hostile_statement_is_refused(shop: Settings, outside: Path, statement: str) -> None:
    [published] = Lake.open(shop, SOURCE).files("items")[:1] or [""]
    before = Path(published.removeprefix("file://")).read_bytes()
    places = {"file": outside, "folder": outside.parent, "lake": shop.home / "lake", "published": published}
    with pytest.raises(ValueError, match=r"not allowed|Permission|does not exist|single SELECT|exactly one") as refused:
        run_sql(shop, SOURCE, statement.format(**places))
    assert SECRET not in str(refused.value)
    assert [file.name for file in outside.parent.iterdir()] == ["outside.csv"]
    assert Path(published.removeprefix("file://")).read_bytes() == before


def test_a_statement_without_end_is_ended(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_box, "MOST_SECONDS", 4)
    endless = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 3"
    with pytest.raises(TimeoutError, match="took longer than 4 seconds"):
        run_sql(shop, SOURCE, endless)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT string_agg(repeat('x', 10000), '') FROM range(1000000)",
        "SELECT repeat('x', 4000000000)",
        "SELECT repeat('x', 1000000) FROM range(9000)",
    ],
)
def test_a_statement_that_needs_too_much_memory_fails(
    shop: Settings, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine, gigabytes take longer than a statement may.
    monkeypatch.setattr(sql_box, "MOST_SECONDS", 120)
    with pytest.raises(ValueError, match=r"[Mm]emory"):
        run_sql(shop, SOURCE, statement)


def test_rows_are_limited_in_number_and_size(shop: Settings) -> None:
    many = run_sql(shop, SOURCE, "SELECT * FROM range(10001)")
    assert (len(many.rows), many.more) == (10_000, True)
    wide = run_sql(shop, SOURCE, "SELECT repeat('x', 1000000) FROM range(30)")
    assert (len(wide.rows), wide.more) == (20, True)


def test_csv_has_no_formula(shop: Settings) -> None:
    assert run_sql(shop, SOURCE, "SELECT '=1+1' AS a, 2 AS b, NULL AS c").csv() == "a,b,c\n'=1+1,2,\n"


def test_the_page_lists_every_table_with_its_columns(shop: Settings) -> None:
    page = Tags(sql_page(SOURCE, "demand_outlook")).text
    assert TABLES["demand_outlook"].example in page
    assert all(table.name in page and table.columns[0].doc in page for table in TABLES.values())


def test_texts_of_rows_and_statements_stay_texts(shop: Settings) -> None:
    page = sql_result_page(SOURCE, f"SELECT title, '{SCRIPT.replace(chr(39), chr(39) * 2)}' AS \"<b>\" FROM items")
    assert (Tags(page).scripts, Tags(page).handlers) == (["pages.js"], [])
    assert LONG not in page
    assert str(TITLES["i2"]) in Tags(page).text


def test_a_statement_that_fails_is_kept_beside_its_error(shop: Settings) -> None:
    page = Tags(sql_result_page(SOURCE, "SELECT nothing FROM items")).text
    assert "SELECT nothing FROM items" in page
    assert "Binder Error" in page

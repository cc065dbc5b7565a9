import csv
import io
import json
import string
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.lake_sql import query, source_names, source_to_read, summarize_lake, write_rows
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)


def users(ds: date, *keys: str) -> pa.Table:
    rows = [{"user_key": key, "attributes": None, "first_seen": MONDAY, "last_seen": ds, "ds": ds} for key in keys]
    return pa.Table.from_pylist(rows, schema=arrow_schema(TABLES["users"]))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lake with two sources; the shop's `users` were published twice for Monday."""
    settings = Settings(home=tmp_path)
    shop, other = Lake.open(settings, "shop"), Lake.open(settings, "other_shop")
    shop.commit("users", [MONDAY], shop.write_arrow("users", users(MONDAY, "old")))
    shop.commit("users", [MONDAY], shop.write_arrow("users", users(MONDAY, "ann", "it's")))
    shop.commit("users", [TUESDAY], shop.write_arrow("users", users(TUESDAY, "ann")))
    other.commit("users", [MONDAY], other.write_arrow("users", users(MONDAY, "zoe")))
    return settings


def test_tables_show_the_current_snapshot_and_other_sources_are_schemas(settings: Settings) -> None:
    names, rows = query(settings, "shop", "SELECT ds, user_key FROM users ORDER BY ALL")
    assert (names, rows) == (["ds", "user_key"], [(MONDAY, "ann"), (MONDAY, "it's"), (TUESDAY, "ann")])
    assert query(settings, "shop", "SELECT user_key FROM other_shop.users")[1] == [("zoe",)]
    assert source_names(settings) == ["other_shop", "shop"]


def test_a_table_is_found_however_its_name_is_written(settings: Settings) -> None:
    assert query(settings, "shop", "SELECT count(*) FROM USERS")[1] == [(3,)]
    assert query(settings, "shop", 'SELECT count(*) FROM Other_Shop."Users"')[1] == [(1,)]


def test_statement_that_names_no_table_sees_them_all(settings: Settings) -> None:
    assert sorted(name for (name,) in query(settings, "shop", "SHOW TABLES")[1]) == sorted(TABLES)
    columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'shop'"
    assert len(query(settings, "shop", columns)[1]) == sum(len(table.columns) for table in TABLES.values())
    with pytest.raises(ValueError, match="users is not read: write its name into the statement as one word"):
        query(settings, "shop", "SELECT * FROM query_table('us' || 'ers')")


def test_table_that_was_never_published_is_empty_and_typed(settings: Settings) -> None:
    names, rows = query(settings, "shop", "SELECT * FROM sequences")
    assert (names, rows) == (TABLES["sequences"].column_names, [])
    typed = "SELECT typeof(item_ids) FROM sequences RIGHT JOIN (SELECT 1) ON true"
    assert query(settings, "shop", typed)[1] == [("VARCHAR[]",)]


def test_a_source_without_tables_can_be_queried(settings: Settings) -> None:
    assert query(settings, "new_shop", "SELECT count(*) FROM recommendations")[1] == [(0,)]


def test_a_note_reports_a_source_without_tables_and_the_only_other_is_read(settings: Settings, tmp_path: Path) -> None:
    sql = "SELECT * FROM users"
    assert source_to_read(settings, "shop", sql, named=False) == ("shop", "")
    assert source_to_read(settings, "new_shop", "SELECT * FROM shop.users", named=True) == ("new_shop", "")
    several = "new_shop has no tables yet; there are other_shop, shop: nightshelf sql --source other_shop"
    assert source_to_read(settings, "new_shop", sql, named=False) == ("new_shop", several)
    alone = Settings(home=tmp_path / "alone")
    nothing = "simulated_shop has no tables yet: nightshelf run --source simulated_shop --date YYYY-MM-DD"
    assert source_to_read(alone, "simulated_shop", sql, named=False) == ("simulated_shop", nothing)
    lake = Lake.open(alone, "rees46")
    lake.commit("users", [MONDAY], lake.write_arrow("users", users(MONDAY, "zoe")))
    only = "simulated_shop has no tables yet: read rees46, the only source that has"
    assert source_to_read(alone, "simulated_shop", sql, named=False) == ("rees46", only)
    assert source_to_read(alone, "simulated_shop", sql, named=True)[0] == "simulated_shop"


def test_a_mistaken_statement_lists_the_tables(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"recommendatoins(.|\n)*Tables: events, quarantine"):
        query(settings, "shop", "SELECT * FROM recommendatoins")


@pytest.mark.parametrize("statement", ["", "  ;"])
def test_an_empty_statement_is_refused(settings: Settings, statement: str) -> None:
    with pytest.raises(ValueError, match="The statement is empty: write one, such as"):
        query(settings, "shop", statement)


def test_a_value_is_drawn_without_markup() -> None:
    out = io.StringIO()
    write_rows(["title"], [("[new] lamp [/]",)], "table", out)
    assert "[new] lamp [/]" in out.getvalue()


def test_formats() -> None:
    names, rows = ["name", "at"], [("a,b", datetime(2026, 11, 20, tzinfo=UTC)), (None, None)]
    written = {}
    for how in ("csv", "json", "table"):
        out = io.StringIO()
        write_rows(names, rows, how, out)
        written[how] = out.getvalue()
    assert written["csv"] == 'name,at\n"a,b",2026-11-20 00:00:00+00:00\n,\n'
    assert json.loads(written["json"])[0] == {"name": "a,b", "at": "2026-11-20 00:00:00+00:00"}
    assert "2026-11-20 00:00:00+00:00" in written["table"]


def test_summary_counts_rows_and_days(settings: Settings) -> None:
    [other, shop] = summarize_lake(settings)
    assert (other.source, other.rows, other.days) == ("other_shop", 1, 1)
    assert (shop.table, shop.rows, shop.days, shop.first, shop.last) == ("users", 3, 2, MONDAY, TUESDAY)
    assert shop.mebibytes > 0


FORMULAS = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "-", "+49 170 1", "=", "--1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_csv_carries_no_formula(text: str) -> None:
    out = io.StringIO()
    write_rows([text, "n"], [(text, -5)], "csv", out)
    header, row = csv.reader(io.StringIO(out.getvalue(), newline=""))
    assert "\r\n" not in out.getvalue()
    assert header == [f"'{text}", "n"]
    assert row == [f"'{text}", "-5"]


def test_a_carriage_return_within_a_value_begins_no_new_cell() -> None:
    out = io.StringIO()
    write_rows(["title"], [("lamp\r=1+1",), ('a,"b"\n=1',)], "csv", out)
    assert out.getvalue() == 'title\n"lamp\r=1+1"\n"a,""b""\n=1"\n'


def test_csv_leaves_numbers_dates_and_other_text_as_they_are() -> None:
    values = (-5, -0.5, "-5", "+0.25", "-1e-3", "a=b", "'quoted", None, date(2026, 11, 20), ["=1"], "")
    out = io.StringIO()
    write_rows([f"c{place}" for place in range(len(values))], [values], "csv", out)
    [_, row] = csv.reader(io.StringIO(out.getvalue()))
    assert row == ["" if value is None else str(value) for value in values]


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07", "\x1b[2J", "\x9b31m", "a\rb", "\x08\x08", "\u202egnp", "\x7f"])
def test_a_table_does_not_drive_the_terminal(text: str) -> None:
    out = io.StringIO()
    write_rows([text], [(text,)], "table", out)
    assert not set(text) & set(out.getvalue()) - set(string.printable.strip())
    assert out.getvalue().count("\\x") + out.getvalue().count("\\u") + out.getvalue().count("\\r") >= 2


def test_brackets_in_a_column_name_are_no_markup() -> None:
    out = io.StringIO()
    write_rows(["[red]title", "b"], [("[/] \n mug", "é\tß 商")], "table", out)
    assert "[red]title" in out.getvalue()
    assert "[/]" in out.getvalue()
    assert "ß 商" in out.getvalue()

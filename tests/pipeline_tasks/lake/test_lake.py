from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(Settings(home=tmp_path), "shop")


def sequences(ds: date, keys: list[str]) -> pa.Table:
    micros = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1e6)
    rows = [
        {
            "sequence_key": k,
            "user_key": k,
            "item_ids": ["a", "b"],
            "event_types": ["view", "cart"],
            "timestamps": [micros] * 2,
            "ds": ds,
        }
        for k in keys
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(TABLES["sequences"]))


def items(ds: date, **more: object) -> pa.Table:
    return pa.Table.from_pylist([{"item_id": "i1", "ds": ds} | more], schema=arrow_schema(TABLES["items"]))


def test_commit_replaces_only_the_named_days(lake: Lake) -> None:
    first, second = date(2026, 11, 1), date(2026, 11, 2)
    lake.commit(
        "sequences",
        [first, second],
        lake.write_arrow("sequences", pa.concat_tables([sequences(first, ["u1"]), sequences(second, ["u2"])])),
    )
    before = lake.read("sequences", (first, first))
    lake.commit("sequences", [second], lake.write_arrow("sequences", sequences(second, ["u3", "u4"])))
    assert lake.read("sequences", (first, first)).equals(before)
    assert sorted(lake.read("sequences", (second, second))["user_key"].to_pylist()) == ["u3", "u4"]
    assert lake.days("sequences") == [first, second]


def test_earlier_snapshot_stays_readable(lake: Lake) -> None:
    day = date(2026, 11, 1)
    old = lake.commit("sequences", [day], lake.write_arrow("sequences", sequences(day, ["old"])), {"model": "7"})
    assert lake.facts("sequences") == {"model": "7"}
    lake.commit("sequences", [day], lake.write_arrow("sequences", sequences(day, ["new"])))
    assert lake.read("sequences", snapshot_id=old)["user_key"].to_pylist() == ["old"]
    assert lake.read("sequences")["user_key"].to_pylist() == ["new"]


def test_empty_table_reads_as_empty(lake: Lake) -> None:
    assert lake.read("recommendations", columns=("user_key", "rank")).num_rows == 0
    assert lake.files("recommendations") == []
    assert lake.days("recommendations") == []


def test_reading_writes_nothing(lake: Lake, tmp_path: Path) -> None:
    day = date(2026, 11, 1)
    lake.commit("sequences", [day], lake.write_arrow("sequences", sequences(day, ["u1"])))
    before = sorted(tmp_path.rglob("*"))
    for _ in range(3):
        assert lake.read("sequences").num_rows == 1
        assert len(lake.files("sequences")) == len(lake.days("sequences")) == len(lake.history("sequences")) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_a_missing_table_makes_neither_table_nor_source(lake: Lake) -> None:
    for reads in (lake.read, lake.files, lake.days, lake.history, lake.facts, lake.snapshot_id):
        assert not reads("recommendations")
    assert lake.catalog.list_namespaces() == []


def test_files_without_some_days_are_found_in_one_scan(lake: Lake) -> None:
    days = [date(2026, 11, number) for number in (1, 2, 3)]
    rows = pa.concat_tables(sequences(day, [str(day)]) for day in days)
    earlier = lake.commit("sequences", days, files := lake.write_arrow("sequences", rows))
    assert lake.files("sequences", without={days[1]}) == [files[0], files[2]]
    assert lake.files("sequences", (days[0], days[1]), without={days[1]}) == [files[0]]
    lake.commit("sequences", [days[0]], [])
    assert lake.files("sequences", without={days[1]}) == [files[2]]
    assert lake.files("sequences", without={days[1]}, snapshot_id=earlier) == [files[0], files[2]]


def test_tables_of_a_new_source_can_be_made_concurrently(lake: Lake) -> None:
    names = list(TABLES)[:6]
    with ThreadPoolExecutor(len(names)) as threads:
        made = list(threads.map(lake.table, [*names, *names]))
    assert [table.name()[-1] for table in made] == [*names, *names]
    assert lake.catalog.list_namespaces() == [("shop",)]


def test_a_configured_catalog_is_opened_and_its_password_is_not_shown(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/own.db?timeout=77"
    settings = Settings.model_validate({"home": tmp_path / "home", "lake_catalog_uri": uri})
    assert Lake.open(settings, "shop").snapshot_id("items") is None
    assert (tmp_path / "own.db").exists()
    assert "timeout=77" not in f"{settings!r} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("name", TABLES)
def test_every_contract_makes_a_table(lake: Lake, name: str) -> None:
    assert [field.name for field in lake.table(name).schema().fields] == TABLES[name].column_names


def test_a_contract_that_gained_a_column_grows_the_table(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    now, first, second = TABLES["items"], date(2026, 11, 1), date(2026, 11, 2)
    before = replace(now, columns=tuple(column for column in now.columns if column.name != "listed"))
    with monkeypatch.context() as earlier:
        earlier.setitem(TABLES, "items", before)
        lake.commit("items", [first], lake.write_arrow("items", items(first)))
    assert lake.read("items")["item_id"].to_pylist() == ["i1"], "an old lake is read before anything is committed"
    lake.commit("items", [second], lake.write_arrow("items", items(second, listed=False)))
    rows = lake.read("items").sort_by("ds").to_pylist()
    assert [(row["ds"], row["item_id"], row["listed"]) for row in rows] == [(first, "i1", None), (second, "i1", False)]


def test_history_leaves_out_snapshots_that_were_rolled_back(lake: Lake) -> None:
    assert lake.history("sequences") == [] == list(lake.facts("sequences"))
    kept = 0
    for number in (1, 2):
        day = date(2026, 11, number)
        files = lake.write_arrow("sequences", sequences(day, ["u1"]))
        committed = lake.commit("sequences", [day], files, {"night": str(day)})
        kept = kept or committed
    assert lake.history("sequences")[0]["night"] == "2026-11-02"
    lake.table("sequences").manage_snapshots().rollback_to_snapshot(kept).commit()
    assert {facts["night"] for facts in lake.history("sequences")} == {"2026-11-01"}

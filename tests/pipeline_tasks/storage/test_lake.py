from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.settings import Settings
from pipeline_tasks.storage.lake import Lake
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


def test_history_knows_nothing_of_what_was_rolled_back(lake: Lake) -> None:
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

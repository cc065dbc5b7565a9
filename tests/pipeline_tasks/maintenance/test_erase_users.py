"""Erasing a user in a real lake: no file may name the user afterwards, not even a bound in a manifest."""

import json
from datetime import date
from html import escape
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, staging_folder, write_manifest
from pipeline_tasks.maintenance.erase_rows import USER_TABLES
from pipeline_tasks.maintenance.erase_users import erase_users, request_erasure
from pipeline_tasks.maintenance.roll_back_night import choose_rollback_target, return_tables
from pipeline_tasks.quality.gate_report import Finding, GateReport, TableReport, write_report
from pipeline_tasks.registry.registry import client
from pipeline_tasks.registry.retraining import retrain_reason
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import read_erased_users, record_erased_users
from pipeline_tasks.tables.contracts import TABLES
from tests.pipeline_tasks.maintenance.published_shop import FIRST, SECOND, SOURCE, THIRD, publish_day, write
from tests.pipeline_tasks.maintenance.search_files import files_with

ERASED, KEPT = "ann-7731", "bob-7731"
RAW = (
    (json.dumps({"who": ERASED, "units": "cheap"}), "unparsable_number", None),
    (f"2026-11-20T09:00:00Z,view,P1,{ERASED}", "corrupt_record", None),
    (json.dumps({"who": "x", "sku": ""}), "missing_item", f"user_key={ERASED}"),
    (json.dumps({"who": f"{ERASED}0", "units": "cheap"}), "unparsable_number", None),
    (json.dumps({"who": KEPT}), "missing_item", None),
)


def rows_of(name: str, user: str) -> list[dict[str, Any]]:
    """Return a row of the table for the user."""
    one: dict[str, Any] = {"user_key": user}
    if name == "sequences":
        one |= {"sequence_key": user, "item_ids": ["i1"], "event_types": ["view"], "timestamps": [1]}
    return [one]


def fill(settings: Settings, ds: date) -> None:
    for name in USER_TABLES:
        if name != "quarantine":
            write(
                settings, name, ds, [row for user in (ERASED, KEPT) for row in rows_of(name, user)], {"night": str(ds)}
            )
    rejected = [{"raw": raw, "rule": rule, "detail": detail, "source_file": "f"} for raw, rule, detail in RAW]
    write(settings, "quarantine", ds, rejected)
    counts = [("rows_in", "all", 9 if ds == FIRST else 7), ("event", "all", 2), ("duplicate", "exact_duplicates", 2)]
    counts += [("quarantine", rule, count) for rule, count in (("unparsable_number", 2), ("corrupt_record", 1))]
    # Earlier versions counted the rejected records of all catalogs under one rule.
    users = [("users_in", "all", 3), ("users_accepted", "all", 1), ("users_quarantine", "missing_item", 2)]
    counts += [("quarantine", "catalog", 2)] if ds == FIRST else users
    rows = [{"outcome": outcome, "rule": rule, "rows": n, "fingerprint": "f"} for outcome, rule, n in counts]
    write(settings, "reconciliation", ds, rows)


@pytest.fixture(autouse=True)
def two_days(settings: Settings) -> None:
    for ds in (FIRST, SECOND):
        fill(settings, ds)


def erase(settings: Settings) -> str:
    request_erasure(settings, SOURCE, [f" {ERASED} "])
    return str(erase_users(settings, SOURCE))


def test_no_file_of_the_lake_names_an_erased_user(settings: Settings) -> None:
    write(settings, "events", FIRST, rows_of("events", ERASED) + rows_of("events", KEPT))
    assert len(Lake.open(settings, SOURCE).table("events").snapshots()) > 2, "she is in earlier snapshots as well"
    lake = settings.home / "lake"
    before = files_with(lake, ERASED)
    assert {path.split("/")[1] for path in before} == set(USER_TABLES)
    assert any(path.endswith(".avro") for path in before), "bounds in manifests name the user too"
    report = erase(settings)
    assert files_with(lake, ERASED) == files_with(lake, f"{ERASED}0"), "only a key with the same prefix is left"
    assert files_with(settings.home / "forgotten", ERASED) == []
    assert report.startswith("1 users are erased. Rows removed: events 2, quarantine 6, users 2")
    for name in USER_TABLES:
        rows = Lake.open(settings, SOURCE).read(name).to_pylist()
        assert len([row for row in rows if row.get("user_key") == KEPT]) == (0 if name == "quarantine" else 2)
        assert {row["ds"] for row in rows} == {FIRST, SECOND}
    kept = {row["raw"] for row in Lake.open(settings, SOURCE).read("quarantine").to_pylist()}
    assert kept == {RAW[3][0], RAW[4][0]}


def test_rows_stay_accounted_for_to_the_row(settings: Settings) -> None:
    erase(settings)
    lake = Lake.open(settings, SOURCE)
    for ds in (FIRST, SECOND):
        rows = lake.read("reconciliation", (ds, ds)).to_pylist()
        counts = {(row["outcome"], row["rule"]): row["rows"] for row in rows}
        assert counts["event", "all"] == lake.read("events", (ds, ds)).num_rows == 1
        refused = {one: sum(n for (outcome, _), n in counts.items() if outcome == one) for one, _ in counts}
        others = refused.get("users_quarantine", 0)
        assert refused["quarantine"] + others == lake.read("quarantine", (ds, ds)).num_rows == 2
        assert counts["rows_in", "all"] == 1 + refused["quarantine"] + counts["duplicate", "exact_duplicates"]
        assert counts.get(("users_in", "all"), 0) == (0 if ds == FIRST else 1 + others)
        assert {row["fingerprint"] for row in rows} == {"f"}, "the day is not cleaned again for it"


def test_the_properties_of_the_snapshot_are_kept(settings: Settings) -> None:
    erase(settings)
    assert Lake.open(settings, SOURCE).facts("users") == {
        "night": str(SECOND),
        "forgotten_rows": "2",
        "forgotten_history": "all",
    }


def test_a_second_erasure_removes_nothing(settings: Settings) -> None:
    erase(settings)
    fill(settings, SECOND)
    assert "Rows removed: events 1," in str(erase_users(settings, SOURCE)), "as after a restored backup"
    again = erase_users(settings, SOURCE)
    assert (set(again.rows.values()), again.staged, again.postgres_rows) == ({0}, [], 0)


def test_without_erased_users_nothing_is_changed(settings: Settings) -> None:
    lake = Lake.open(settings, SOURCE)
    before = {name: lake.snapshot_id(name) for name in TABLES}
    done = erase_users(settings, SOURCE)
    assert (done.users, done.snapshots, done.files) == (0, 0, 0)
    assert {name: lake.snapshot_id(name) for name in TABLES} == before


def test_staged_user_data_and_reports_that_name_the_user_are_deleted_and_models_stay(settings: Settings) -> None:
    folder = staging_folder(settings, RunKey(SOURCE, FIRST))
    (folder / "vectors" / "users").mkdir(parents=True)
    pq.write_table(pa.table({"user_key": [ERASED]}), folder / "vectors" / "users" / "part-00000.parquet")
    (folder / "shelf-1").mkdir()
    pq.write_table(pa.table({"user_key": [ERASED]}), folder / "shelf-1" / "opt_outs.parquet")
    (folder / "winner").mkdir()
    (folder / "winner" / "recommender.json").write_text("{}")
    write_manifest(settings, Manifest(source=SOURCE, ds=FIRST, step="recommend"))
    page = settings.data_docs / "validations" / "events" / f"{SOURCE}-{FIRST}-clean" / "events.html"
    page.parent.mkdir(parents=True)
    page.write_text(f"<td>{ERASED}</td> <td> {ERASED} </td>")
    another = "ann&co"
    written_for_html = page.with_name("items.html")
    written_for_html.write_text(f"<td>user_key={escape(another)}</td>")
    fine = page.with_name("users.html")
    fine.write_text("<td>all is well</td>")
    for step, sample in (("clean", f"1 of 9 rows, e.g. user_key={ERASED}"), ("split", "0 of 9 rows")):
        write_report(settings, gate(step, sample, str(page)))
    record_erased_users(settings, SOURCE, [ERASED, another])
    deleted = erase_users(settings, SOURCE).staged
    assert len(deleted) == 6
    assert {path.name for path in folder.iterdir()} == {"winner", "gate_split.json"}
    assert (page.exists(), written_for_html.exists(), fine.exists()) == (False, False, True)


def gate(step: str, sample: str, page: str) -> GateReport:
    table = TableReport(rows=9, expectations=1, failed=1, warnings=0, docs=f"file://{page}")
    fields = {"severity": "warning", "expectation": "e", "column": "user_key", "says": "s", "remedy": "r"}
    finding = Finding(table="events", observed=sample, **fields)
    return GateReport(
        source=SOURCE, ds=FIRST, step=step, seconds=1, passed=True, tables={"events": table}, findings=[finding]
    )


def test_the_next_run_retrains(settings: Settings) -> None:
    api, name = client(settings), f"nightshelf-{SOURCE}"
    api.create_registered_model(name)
    tags = {"ds": str(SECOND), "split_id": "s", "strategy": "temporal", "window_days": "30"}
    api.create_model_version(name, source="file:///nowhere", tags=tags)
    api.set_registered_model_alias(name, "champion", "1")
    weekly = settings.model_copy(update={"training": settings.training.model_copy(update={"retrain_every_days": 99})})
    tomorrow = RunKey(SOURCE, date(2026, 11, 21))
    assert retrain_reason(weekly, tomorrow) is None
    erase(settings)
    assert "was trained with a user who was erased on" in (retrain_reason(weekly, tomorrow) or "")
    api.delete_model_version_tag(name, "1", "shopper_forgotten")
    request_erasure(settings, SOURCE, [ERASED])
    assert retrain_reason(weekly, tomorrow) is None, "no model was trained with the user since the erasure"


def test_a_rollback_ends_at_the_erasure_and_never_restores_the_user(settings: Settings) -> None:
    publish_day(settings, FIRST, "1", (ERASED, KEPT))
    publish_day(settings, SECOND, "2", (ERASED, KEPT))
    erase(settings)
    with pytest.raises(ValueError, match=r"shop\.\w+ cannot go back: its snapshot of that time has expired"):
        choose_rollback_target(settings, SOURCE, "tables")
    publish_day(settings, THIRD, "3", (KEPT,))
    return_tables(settings, choose_rollback_target(settings, SOURCE, "tables"))
    recommendations = Lake.open(settings, SOURCE).read("recommendations").to_pylist()
    assert {(row["ds"], row["user_key"]) for row in recommendations} == {(FIRST, KEPT), (SECOND, KEPT)}


def test_stored_hashes_name_no_user_and_match_the_user_again(settings: Settings) -> None:
    record_erased_users(settings, SOURCE, [ERASED, "17850"])
    kept = read_erased_users(settings, SOURCE)
    assert kept.is_erased(ERASED)
    assert kept.is_erased("17850")
    assert not kept.is_erased(KEPT)
    assert kept.is_named_in('{"CustomerID":17850.0,"Quantity":"6"}'), "as a program writes a number"
    assert not kept.is_named_in('{"CustomerID":"178501"}')
    assert all(kept.is_named_in(f"a{separator}17850{separator}b") for separator in ("^", "~", "\x01", "||", "¦"))
    path = settings.home / "forgotten" / f"{SOURCE}.json"
    assert path.stat().st_mode & 0o077 == 0
    written = path.read_text()
    record_erased_users(settings, SOURCE, [ERASED])
    assert path.read_text() == written
    with pytest.raises(ValueError, match="a user_key is empty"):
        record_erased_users(settings, SOURCE, [" "])

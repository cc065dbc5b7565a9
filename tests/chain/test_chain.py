"""The chain end to end: real scheduler, real MLflow server, REST, and tables read as a client reads them.

The tests run in order, because each run costs a minute: the first run trains, the second uses its champion,
the second again changes nothing, and again with changed input changes itself alone.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline_tasks.tables.contracts import TABLES
from tests.chain.installation import FIRST, Installation

pytestmark = pytest.mark.chain

SECOND = "2026-11-20"
TOP_K = 5


def tables_of(installation: Installation, ds: str) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all tables for the run, in one order."""
    # One statement: a process for each of 16 tables, seven times over, were 112 of 2 s and more.
    each = (f"SELECT '{name}' AS name, to_json(t)::VARCHAR AS row FROM {name} t WHERE ds = '{ds}'" for name in TABLES)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for row in installation.rows(f"FROM ({' UNION ALL '.join(each)}) ORDER BY ALL"):
        found[row["name"]].append(json.loads(row["row"]))
    return found


@pytest.fixture(scope="module")
def second_run(installation: Installation, first_run: str) -> str:
    return installation.succeed("run", "--date", SECOND)


def test_the_first_run_executes_and_reports_every_task(first_run: str) -> None:
    for task in ("land_behavior", "publish_split", "train_candidate [lora]"):
        assert task in first_run
    for task in ("evaluate_candidates", "promote_champion", "hand_on_champion", "publish_recommend"):
        assert task in first_run
    assert first_run.count("recommendations for user") == 3
    assert f"recommendations for {FIRST}; to see more:" in first_run


def test_recommendations_are_full_and_distinct(installation: Installation, first_run: str) -> None:
    lists = installation.rows(
        f"SELECT user_key, count(*) AS items, count(DISTINCT item_id) AS distinct_items, max(rank) AS last "
        f"FROM recommendations WHERE ds = '{FIRST}' GROUP BY user_key"
    )
    users = installation.rows(f"SELECT user_key FROM sequences WHERE ds = '{FIRST}' AND user_key IS NOT NULL")
    assert {row["user_key"] for row in lists} == {row["user_key"] for row in users}
    assert all((row["items"], row["distinct_items"], row["last"]) == (TOP_K, TOP_K, TOP_K) for row in lists)


def test_rows_in_are_accounted_for_to_the_row(installation: Installation, first_run: str) -> None:
    [row] = installation.rows(
        "SELECT sum(rows) FILTER (ends_with(outcome, '_in')) AS arrived, "
        "sum(rows) FILTER (NOT ends_with(outcome, '_in')) AS kept, sum(rows) FILTER (outcome IN "
        "('duplicate', 'items_duplicate', 'items_accepted', 'waiting', 'before_window')) AS elsewhere, "
        "(SELECT count(*) FROM events) AS events, (SELECT count(*) FROM quarantine) AS quarantined FROM reconciliation"
    )
    assert int(row["arrived"]) == int(row["kept"]) == row["events"] + row["quarantined"] + int(row["elsewhere"])


def test_the_registry_holds_the_champion_that_computed_the_recommendations(
    installation: Installation, first_run: str
) -> None:
    client = installation.registry()
    champion = client.get_model_version_by_alias("nightshelf-simulated_shop", "champion")
    [made_by] = installation.rows("SELECT DISTINCT model_version FROM recommendations")
    assert str(champion.version) in made_by["model_version"]
    experiment = client.get_experiment_by_name("nightshelf/simulated_shop")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.data.tags.get("candidate") for run in runs if "mlflow.parentRunId" in run.data.tags} == {"lora"}
    assert all(run.info.status == "FINISHED" for run in runs)


def test_the_second_run_uses_the_champion(second_run: str) -> None:
    assert "train_candidate" not in second_run
    assert "hand_on_champion" in second_run
    assert "publish_recommend" in second_run


def test_a_repeated_run_is_identical_and_changed_input_changes_that_day_alone(
    installation: Installation, second_run: str
) -> None:
    first, second = tables_of(installation, FIRST), tables_of(installation, SECOND)
    assert all(first[name] for name in ("events", "recommendations", "similar_items", "user_profiles"))

    installation.succeed("run", "--date", SECOND)
    assert tables_of(installation, SECOND) == second

    user = second["recommendations"][0]["user_key"]
    item = second["recommendations"][0]["item_id"]
    deliver_purchase(installation.home, SECOND, user, item)
    installation.succeed("run", "--date", SECOND)
    changed = tables_of(installation, SECOND)
    assert len(changed["events"]) == len(second["events"]) + 1
    recommended = {row["item_id"] for row in changed["recommendations"] if row["user_key"] == user}
    assert item not in recommended, "bought today, so not recommended"
    assert tables_of(installation, FIRST) == first


def test_a_damaged_delivery_stops_the_run_with_one_clear_message(installation: Installation, second_run: str) -> None:
    before = tables_of(installation, SECOND)
    spoiled = installation.home / "simulated_shop" / "events" / f"ds={SECOND}" / "truncated.json.gz"
    spoiled.write_bytes(gzip.compress(b'{"event_key": 1}\n' * 10_000)[:60])
    failed = installation.call("run", "--date", SECOND)
    spoiled.unlink()
    assert failed.returncode == 1
    assert "prepare_behavior.land_behavior failed" in failed.stdout
    assert spoiled.name in failed.stdout.splitlines()[-1]
    assert tables_of(installation, SECOND) == before


def test_a_source_without_files_names_where_to_get_them(installation: Installation) -> None:
    failed = installation.call("run", "--date", "2011-11-01", "--source", "online_retail")
    assert failed.returncode == 1
    assert "archive.ics.uci.edu" in failed.stdout.splitlines()[-1]


def deliver_purchase(home: Path, ds: str, user: str, item: str) -> None:
    """Add one purchase to the shop's own files, as a late line of its log."""
    line = {
        "event_key": "late-1",
        "time": f"{ds}T23:00:00Z",
        "kind": "purchase",
        "shopper": user,
        "session": "late",
        "item": item,
        "price": "9.5",
        "units": "1",
    }
    delivered = home / "simulated_shop" / "events" / f"ds={ds}" / "late.json"
    delivered.write_text(json.dumps(line) + "\n")
    # As the simulated shop writes its files: a test of the whole home looks at their rights.
    delivered.chmod(0o600)

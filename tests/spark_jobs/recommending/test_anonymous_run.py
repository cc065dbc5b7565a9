"""A run of anonymous sessions alone, embedded by an earlier champion: no user has recommendations."""

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.staging import Manifest, staging_folder, write_manifest
from spark_jobs.recommend_items import build
from spark_jobs.validate_tables import validate_step
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, SCORING, SEQUENCES, events, item_vectors, write, write_vectors

PERSONAL = {"recommendations", "user_profiles", "purchase_intent", "audiences"}


@pytest.fixture(scope="module")
def manifest(spark: SparkSession, home: Settings) -> Manifest:
    lake = Lake.open(home, RUN_KEY.source)
    nobody = [
        one | {"user_key": None, "sequence_key": f"session:s{number}"} for number, one in enumerate(SEQUENCES, start=1)
    ]
    write(lake, "sequences", nobody)
    write(lake, "events", [one | {"user_key": None, "session_id": "s1"} for one in events()])
    folder = staging_folder(home, RUN_KEY) / "vectors"
    write_vectors(folder, {}, item_vectors())
    # Without a user embed_shelf writes no file.
    (folder / "users" / "part-00000.parquet").unlink()
    return build(spark, RUN_KEY, SCORING)


def test_tables_that_need_no_user_are_filled(manifest: Manifest) -> None:
    rows = {name: table.rows for name, table in manifest.tables.items()}
    assert {name for name, count in rows.items() if not count} == PERSONAL
    assert len(rows) == 10
    assert rows["demand_outlook"] == 2 * len(ITEMS)
    assert (manifest.facts["shoppers_without_a_shelf"], manifest.facts["clusters"]) == ("0", "0")


def test_a_run_without_user_ids_passes_the_gate(spark: SparkSession, home: Settings, manifest: Manifest) -> None:
    write_manifest(home, manifest)
    report = validate_step(spark, home, RUN_KEY, "recommend")
    assert report.passed, report.findings

"""The gate of one cleaned run and the same checks by `cuallee`, on the same session, as a process of its own.

python -m tests.benchmarks.gate_once simulated_shop 2026-11-20 gate out.json

The engine that is named runs first and pays for Spark's compilation, as a run does. Then the other runs,
and both again.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.staging import Manifest, read_manifest
from pipeline_tasks.run_key import RunKey, parse_day
from spark_jobs.common.spark_session import open_session
from spark_jobs.validate_tables import interpret_small_queries, validate_step
from tests.benchmarks.cuallee_checks import cuallee_check


def gate_once(run_key: RunKey, first: str) -> dict[str, list[float]]:
    """Return the seconds of the start (Java, Spark, imports), of the gate and of cuallee.

    Raises:
        ValueError: a rule is broken.
    """
    started = time.perf_counter()
    spark = open_session("gate for a benchmark")
    import_module("pipeline_tasks.quality.gate_runner")
    manifest = read_manifest(settings(), run_key, "clean")
    interpret_small_queries(spark, manifest)
    taken = {"start": [time.perf_counter() - started], "gate": [], "cuallee": []}
    contenders: dict[str, Callable[[], object]] = {
        "gate": lambda: validate_step(spark, settings(), run_key, "clean").raise_for_critical(),
        "cuallee": lambda: check_by_cuallee(spark, manifest),
    }
    for name in sorted(contenders, key=lambda name: name != first) * 2:
        before = time.perf_counter()
        contenders[name]()
        taken[name].append(time.perf_counter() - before)
    return taken


def check_by_cuallee(spark: SparkSession, manifest: Manifest) -> None:
    """Check every staged table.

    Raises:
        ValueError: a rule is broken.
    """
    for name, staged in manifest.tables.items():
        if not staged.files:
            continue
        outcomes = cuallee_check(name).validate(spark.read.parquet(*staged.files))
        broken = [row for row in outcomes.collect() if row["status"] != "PASS"]
        if broken:
            raise ValueError(f"{name}: cuallee finds {broken[0]['rule']} of {broken[0]['column']} broken")


if __name__ == "__main__":
    source, day, first, out = sys.argv[1:]
    Path(out).write_text(json.dumps(gate_once(RunKey(source, parse_day(day)), first)))

"""Validates the staged tables of a step; a critical failure ends the process with exit code 1.

    spark-submit spark_jobs/validate_tables.py --step clean --source simulated_shop --date 2026-11-20

Writes staging/<source>/<ds>/gate_<step>.json and the Data Docs, whether the tables pass or fail.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.errors import job_errors
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import Manifest, read_manifest
from pipeline_tasks.quality.gate_pages import write_index
from pipeline_tasks.quality.gate_report import GateReport, write_report
from pipeline_tasks.run_key import RunKey, parse_day
from spark_jobs.common.gate_tables import register_facts, register_tables
from spark_jobs.common.spark_session import open_session

SMALL_ROWS = 1_000_000
STEPS = ("clean", "split", "recommend")


def arg_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step", required=True, choices=STEPS, help="the step whose tables are validated")
    parser.add_argument("--source", required=True, help="name of the source")
    parser.add_argument("--date", required=True, type=parse_day, help="day of the run, YYYY-MM-DD")
    return parser


def validate_step(spark: SparkSession, config: Settings, run: RunKey, step: str) -> GateReport:
    """Validate every table that `step` staged for the run, write the report and the Data Docs, return the report."""
    from pipeline_tasks.quality.gate_runner import GateRun

    started = time.monotonic()
    manifest = read_manifest(config, run, step)
    register_tables(spark, Lake.open(config, run.source).consistent_view(), manifest)
    register_facts(spark, manifest)
    gate = GateRun(config.data_docs, f"{run.source}-{run.ds}-{step}")
    zone = manifest.facts.get("timezone") or None
    staged = [name for name, table in manifest.tables.items() if table.days]
    outcomes = {name: gate.validate(name, spark.table(name), zone) for name in staged}
    gate.build_docs()
    findings = [finding for _, found in outcomes.values() for finding in found]
    report = GateReport(
        source=run.source,
        ds=run.ds,
        step=step,
        manifest=manifest.digest,
        seconds=round(time.monotonic() - started, 2),
        passed=not any(finding.severity == "critical" for finding in findings),
        tables={name: table for name, (table, _) in outcomes.items()},
        findings=findings,
    )
    write_report(config, report)
    write_index(config)
    return report


def interpret_small_queries(spark: SparkSession, manifest: Manifest) -> None:
    """Let Spark interpret the queries of small tables, which takes less time than compiling them.

    At 100,000 events the gate takes 21 s of processor time, and 26 s with compiled queries.
    """
    if sum(staged.rows for staged in manifest.tables.values()) < SMALL_ROWS:
        spark.conf.set("spark.sql.codegen.wholeStage", "false")


def print_report(report: GateReport) -> None:
    """Print a line per table and per warning."""
    for name, table in report.tables.items():
        print(
            f"{name}: {table.rows} rows, {table.expectations} expectations, {table.failed} failed, "
            f"{table.warnings} warnings, {table.docs}"
        )
    for finding in report.findings:
        if finding.severity != "critical":
            print(f"WARNING {finding}")


def main() -> None:
    """Run the gate that the command line names."""
    arguments = arg_parser().parse_args()
    with job_errors():
        with ThreadPoolExecutor(1) as background:
            # Great Expectations takes seconds to import, so it is imported while the JVM starts.
            imported = background.submit(import_module, "pipeline_tasks.quality.gate_runner")
            spark = open_session(f"validate {arguments.step}")
            imported.result()
        run = RunKey(arguments.source, arguments.date)
        with job_lock(settings(), run.source, f"validate_tables {run.ds}"):
            interpret_small_queries(spark, read_manifest(settings(), run, arguments.step))
            report = validate_step(spark, settings(), run, arguments.step)
            print_report(report)
            report.raise_for_critical()


if __name__ == "__main__":
    main()

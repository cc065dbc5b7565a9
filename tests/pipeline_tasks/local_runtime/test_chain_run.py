import pytest

from pipeline_tasks.local_runtime.chain_run import clear_error, telling_lines

LOG = [
    "::group::Log message source details",
    "26/11/22 03:18:38 INFO Executor: Running Spark version 4.2.0",
    "Traceback (most recent call last):",
    "FileNotFoundError: No events for 2026-11-20: land that day first",
    "26/11/22 03:18:46 WARN SparkContext: stopping",
    "Task failed with exception",
    "AirflowException: Cannot execute: spark-submit. Error code is: 1.",
    "::endgroup::",
    "",
]


def test_log_is_cut_down_to_what_tells() -> None:
    assert telling_lines(LOG) == [LOG[2], LOG[3], LOG[6]]


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (LOG, "FileNotFoundError: No events for 2026-11-20: land that day first"),
        (["started", "pyspark.errors.AnalysisException: no column x"], "pyspark.errors.AnalysisException: no column x"),
        (["started", "Killed"], "Killed"),
        ([], "its log is empty"),
        (
            [
                "Server indicated the task shouldn't be running anymore. Terminating process",
                "AirflowRuntimeError: API_SERVER_ERROR: {'status_code': 409}",
            ],
            "Stopped from outside: somebody marked or cleared the task, or its run, in Airflow",
        ),
    ],
)
def test_clear_error_is_the_jobs_own_and_not_airflows(lines: list[str], error: str) -> None:
    assert clear_error(telling_lines(lines)) == error

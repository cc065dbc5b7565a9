"""Checks `--set` against the forms of the DAGs, triggers the chain for a run key, and follows it.

The chain's first DAG gets the choices of all DAGs and passes on those of the others unchecked. A misspelt name would
have no effect, and a wrong value would fail half an hour later or be misread.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from jsonschema import Draft7Validator, FormatChecker, ValidationError  # type: ignore[import-untyped]

from pipeline_tasks.local_runtime.airflow_client import AirflowClient, DagRun, TaskRun
from pipeline_tasks.local_runtime.progress import Progress
from pipeline_tasks.run_key import RunKey, partition_key

_SEPARATE_OPTIONS: Final = {"target_date": "--date", "source": "--source", "source_path": "--source-path"}
"""Fields of the run key, and the path, which is resolved on this machine."""
CHAIN: Final = ("prepare_behavior", "fine_tune_recommender", "nightly_recommendations")
POLL_SECONDS: Final = 1.0
HAND_OVER_SECONDS: Final = 120
"""Longest wait for the next DAG's run. It starts 1-3 s after the asset, or later on a busy machine."""
LOG_LINES: Final = 20
_NOISE: Final = re.compile(r"^::(end)?group::|^(\d\d[/: ]){6}(INFO|WARN) |^Task failed with exception$")
_STOPPED: Final = "Server indicated the task shouldn't be running anymore"
"""Message of a worker for a task whose state was changed in Airflow. The errors after it only report the task's end."""
_ERROR: Final = re.compile(r"^(\w+\.)*[A-Z]\w*(Error|Exception|Timeout|Exit): ")


def read_choices(given: Sequence[str], fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the choices of the texts ``NAME=VALUE``, with the types of their fields. `fields`: JSON schema by name.

    Raises:
        ValueError: a text does not fit; the message names it, the cause and the remedy.
    """
    return dict(_read_choice(text, fields) for text in given)


def _read_choice(text: str, fields: Mapping[str, Mapping[str, Any]]) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set {text!r} is not NAME=VALUE, for example --set epochs=2")
    if name in _SEPARATE_OPTIONS:
        raise ValueError(f"--set {text!r}: {name} has an option of its own, {_SEPARATE_OPTIONS[name]}")
    if name not in fields:
        settable = sorted(set(fields) - set(_SEPARATE_OPTIONS))
        meant = "".join(f"; is it {close}?" for close in get_close_matches(name, settable, n=1))
        raise ValueError(f"--set {text!r}: no form has a field {name!r}{meant or '.'} There are {', '.join(settable)}")
    return name, _valid_reading(text, value, fields[name])


def _valid_reading(text: str, value: str, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the first valid reading of `value` for the field: as JSON, as text, or as a comma-separated list."""
    check = Draft7Validator(schema, format_checker=FormatChecker())
    readings = [*_as_json(value), value, value.split(",")]
    for reading in readings:
        if check.is_valid(reading):
            return reading
    problem = _nearest_problem(check, readings)
    raise ValueError(f"--set {text!r} does not fit the field {schema.get('title', '')}: {problem}")


def _nearest_problem(check: Draft7Validator, readings: Sequence[Any]) -> str:
    """Return the problem of the first reading of the right type, else that of the first reading."""
    problems: list[ValidationError] = [next(check.iter_errors(reading)) for reading in readings]
    message: str = next((problem for problem in problems if problem.validator != "type"), problems[0]).message
    return message


def _as_json(value: str) -> list[Any]:
    try:
        return [json.loads(value)]
    except json.JSONDecodeError:
        return []


class ChainFailedError(RuntimeError):
    """A task of the chain failed. The message contains its last log lines."""


def trigger_chain(airflow: AirflowClient, run_key: RunKey, default_source: str, choices: dict[str, Any]) -> DagRun:
    """Trigger the chain's first DAG for the run key; `choices` are form fields of any of its DAGs.

    For a source other than the nightly one, the first DAG itself sets the partition key, because a daily timetable
    accepts only days.
    """
    key = partition_key(RunKey(default_source, run_key.ds), default_source)
    return airflow.trigger(CHAIN[0], key, {"source": run_key.source, **choices})


def chain_fields(airflow: AirflowClient) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of every form field of the chain's DAGs, by name."""
    return {name: schema for dag_id in CHAIN for name, schema in airflow.form_fields(dag_id).items()}


def follow_chain(airflow: AirflowClient, first: DagRun, key: str, progress: Progress) -> list[DagRun]:
    """Follow the chain of partition `key` from its run `first` to its end and return its runs.

    Raises:
        ChainFailedError: a task failed; with its last log lines.
        TimeoutError: a DAG was not started.
    """
    runs = [first]
    for following in (*CHAIN[1:], None):
        follow_run(airflow, runs[-1], progress)
        if following is not None:
            progress.show_wait(f"Airflow starts {following}")
            runs.append(_await_caused_run(airflow, runs[-1], following, key))
    return runs


def follow_run(airflow: AirflowClient, run: DagRun, progress: Progress) -> None:
    """Follow one DAG run to its end. Raises ChainFailedError."""
    while True:
        state = airflow.state(run)
        tasks = airflow.tasks(run)
        progress.show_run(run.dag_id, state, tasks)
        if state == "failed":
            raise ChainFailedError(_failure_message(airflow, run, tasks))
        if state == "success":
            return
        time.sleep(POLL_SECONDS)


def await_dags(airflow: AirflowClient, progress: Progress) -> None:
    """Wait until Airflow has read the chain's DAGs. Raises ValueError with the import errors if it cannot."""
    deadline = time.monotonic() + HAND_OVER_SECONDS
    while missing := [dag_id for dag_id in CHAIN if not airflow.has_dag(dag_id)]:
        if errors := airflow.import_errors():
            raise ValueError(f"Airflow cannot read the DAGs: {errors[0]}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"Airflow has not read {', '.join(missing)} after {HAND_OVER_SECONDS} s")
        progress.show_wait(f"Airflow reads {', '.join(missing)}")
        time.sleep(POLL_SECONDS)


def _await_caused_run(airflow: AirflowClient, run: DagRun, dag_id: str, key: str) -> DagRun:
    deadline = time.monotonic() + HAND_OVER_SECONDS
    while time.monotonic() < deadline:
        if caused := airflow.caused_run(run, dag_id, key):
            return caused
        time.sleep(POLL_SECONDS)
    raise TimeoutError(
        f"{run.dag_id} has ended, but {dag_id} was not started within {HAND_OVER_SECONDS} s: "
        f"check whether it is paused at {airflow.address}/dags/{dag_id}"
    )


def _failure_message(airflow: AirflowClient, run: DagRun, tasks: list[TaskRun]) -> str:
    address = f"{airflow.address}/dags/{run.dag_id}/runs/{run.run_id}"
    failed = [task for task in tasks if task.state == "failed"]
    if not failed:
        return f"{run.dag_id} failed without a failed task: see {address}"
    lines = informative_lines(airflow.log_lines(run, failed[0]))
    tail = "\n".join(lines[-LOG_LINES:])
    return (
        f"{run.dag_id}.{failed[0].label} failed; its whole log: {address}/tasks/{failed[0].task_id}\n"
        f"The log ends:\n{tail}\n\n{job_error(lines)}"
    )


def informative_lines(log: list[str]) -> list[str]:
    """Return the log without empty lines, Airflow's grouping marks and Spark's log lines."""
    return [line for line in log if line.strip() and not _NOISE.search(line)]


def job_error(lines: list[str]) -> str:
    """Return the last error message of a job in its log, else the last line of the log."""
    if any(line.startswith(_STOPPED) for line in lines):
        return "Stopped from outside: the task or its run was marked or cleared in Airflow"
    errors = [line for line in lines if _ERROR.match(line) and not line.startswith("AirflowException")]
    return (errors or lines or ["its log is empty"])[-1]

"""Renders the command of every Spark job and child process for one day, as Airflow would run it.

python -m tests.dags.rendered_commands     rebuilds the golden files after an intended change
"""

import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pipeline_tasks.config.settings import REPOSITORY
from tests.dags.conftest import GOLDEN

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG, Context
    from job_operators import ChildProcess, SparkJob

GIVEN: dict[str, dict[str, Any]] = {
    # A scheduled run has a partition key and no options.
    "scheduled": {"key": "2026-11-20", "conf": {}},
    # A run from the form has no partition key. Every field is set.
    "form": {
        "key": None,
        "conf": {
            "target_date": "2011-11-01",
            "source": "online_retail",
            "source_path": "/data/online retail; rm -rf",
            "window_days": 365,
            "split_strategy": "leave_one_out",
            "rules": ["known_user", "bots"],
            "epochs": 2,
            "search_trials": 12,
            "top_k": 7,
            "exclude_purchased_days": 0,
        },
    },
}


def render_commands(bag: "DagBag", given: dict[str, Any]) -> dict[str, str]:
    """Return the command line of every Spark job and child process by `dag.task`."""
    from job_operators import ChildProcess, SparkJob

    commands = {}
    for dag_id in sorted(bag.dags):
        for task in bag.dags[dag_id].tasks:
            operator = task.unmap({"mapped": MAPPED}) if task.is_mapped else task.prepare_for_execution()
            if isinstance(operator, SparkJob | ChildProcess):
                commands[f"{dag_id}.{task.task_id}"] = _command(operator, bag.dags[dag_id], given)
    return commands


MAPPED = {"candidate": "lora", "parent_run_id": "PARENT"}


def _command(operator: "SparkJob | ChildProcess", dag: "DAG", given: dict[str, Any]) -> str:
    context = {
        "params": {**dag.params.dump(), **given["conf"]},
        "dag_run": SimpleNamespace(conf=given["conf"], run_after=datetime(2026, 11, 21, 2, tzinfo=UTC)),
        "partition_key": given["key"],
        "task": operator,
        "ti": SimpleNamespace(xcom_pull=lambda _: [MAPPED]),
    }
    operator.render_template_fields(cast("Context", context), dag.get_template_env())
    line = " ".join(map(repr_if_spaced, operator.command_line()))
    return line.replace(sys.prefix, "<environment>").replace(str(REPOSITORY), "<repository>")


def repr_if_spaced(argument: str) -> str:
    """Return the argument, in quotes where it holds a space."""
    return repr(argument) if " " in argument else argument


def golden_text(commands: dict[str, str]) -> str:
    """Return the golden file's text: a blank line between tasks, one option a line."""
    blocks = [f"{name}\n  " + command.replace(" --", "\n  --") for name, command in commands.items()]
    return "\n\n".join(blocks) + "\n"


def main() -> None:
    """Rebuild the golden files."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(REPOSITORY / "dags"))
    for name, given in GIVEN.items():
        (GOLDEN / f"{name}.txt").write_text(golden_text(render_commands(bag, given)))


if __name__ == "__main__":
    main()

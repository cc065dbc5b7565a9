"""The operators that start Spark jobs and trainings as processes, and the two tasks at the end of a step.

Arguments are lists and pass through no shell, so that no text of a form is interpreted. An argument ``--option=``
without a value is left out, and the default of the command applies.
"""

import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator, BaseOperatorLink, get_current_context, task
from airflow.sdk.exceptions import AirflowException
from run_options import resolve_run_key
from run_schedule import SPARK_POOL
from task_links import RUNS_PAGE, DataDocsLink, MlflowRunLink, SparkLink, push_links

from pipeline_tasks.config.settings import PROJECT_FILES, REPOSITORY, child_environment, inherited_environment, settings
from pipeline_tasks.local_runtime.gpu_count import TORCHRUN, TORCHRUN_ENVIRONMENT, training_processes
from pipeline_tasks.local_runtime.java import spark_java_options

if TYPE_CHECKING:
    from airflow.sdk import Context

RUN_ARGUMENTS = ("--source={{ run_options().source }}", "--date={{ run_options().ds }}")
"""The arguments of every command of a nightly run."""
OUT_OF_MEMORY = (
    "the system killed it, as a rule because memory was full: give the machine more memory, run less on it, or "
    "choose a shorter window (window_days)"
)
WITHHELD_FROM_SPARK = ("MLFLOW_TRACKING_",)
"""Prefixes of the variables that a Spark job does not get, in addition to those withheld from every child process."""


class SparkJob(SparkSubmitOperator):
    """Runs one file of spark_jobs/.

    The job is a client of the Spark Connect server in the settings. Without one it is submitted, through the connection
    `spark_default`.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (SparkLink(),)

    def __init__(
        self,
        *,
        job: str,
        options: Sequence[str] = (),
        run_arguments: Sequence[str] = RUN_ARGUMENTS,
        **task_arguments: Any,  # noqa: ANN401
    ) -> None:
        self._client = SubprocessHook()
        super().__init__(
            application=str(REPOSITORY / "spark_jobs" / job),
            application_args=[*run_arguments, *options],
            conn_id="spark_default",
            driver_memory=settings().spark_driver_memory,
            # At INFO, the messages of Spark's shutdown hide the error of a failed job.
            conf={
                "spark.ui.enabled": "false",
                "spark.log.level": "WARN",
                "spark.driver.extraJavaOptions": spark_java_options(settings()),
            },
            name=f"{Path(job).stem}-{{{{ run_options().source }}}}-{{{{ run_options().ds }}}}",
            **task_arguments,
        )

    def pre_execute(self, context: "Context") -> None:
        """Show the links from the start."""
        self.application_args = drop_unset(self.application_args or [])
        push_links(self, context)

    def execute(self, context: "Context") -> None:
        """Run the job until it ends. Raises AirflowException when it fails."""
        self.application_args = drop_unset(self.application_args or [])
        if settings().spark_remote is None:
            return super().execute(context)
        command = [sys.executable, "-u", *self.command_line()[1:]]
        environment = child_environment(inherited_environment(), WITHHELD_FROM_SPARK)
        return run_child(self._client, Path(self.application).stem, command, environment)

    def on_kill(self) -> None:
        """End the job."""
        if settings().spark_remote is None:
            super().on_kill()
        else:
            self._client.send_sigterm()  # type: ignore[no-untyped-call]

    def _get_hook(self) -> SparkSubmitHook:
        hook = super()._get_hook()
        environment = child_environment(inherited_environment(), WITHHELD_FROM_SPARK)
        # The provider can only add variables to the environment, not remove any.
        hook.submit = partial(hook.submit, env=environment)  # type: ignore[method-assign]
        return hook

    def command_line(self) -> list[str]:
        """Return the command that `execute` runs, once the templates are rendered."""
        self.application_args = drop_unset(self.application_args or [])
        if settings().spark_remote is not None:
            return ["python", "-m", f"spark_jobs.{Path(self.application).stem}", *self.application_args]
        command: list[str] = self._get_hook()._build_spark_submit_command(self.application)
        return command


class ChildProcess(BaseOperator):
    """Runs ``python -m <module> <options>`` in a process group of its own, with its output in the task's log.

    When the task is killed or times out, the whole group ends, so that no training outlives its task.

    Args:
        mapped: values of a mapped task instance for its templates, as in ``{{ task.mapped.candidate }}``.
        on_every_gpu: on a machine with several GPUs, torchrun starts the module once for each.
    """

    template_fields = ("options",)

    def __init__(
        self,
        *,
        module: str,
        options: Sequence[str] = (),
        mapped: Mapping[str, str] | None = None,
        on_every_gpu: bool = False,
        **task_arguments: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**task_arguments)
        self.module = module
        self.options = [*RUN_ARGUMENTS, *options]
        self.mapped = mapped or {}
        self.on_every_gpu = on_every_gpu
        self._hook = SubprocessHook()

    def execute(self, context: "Context") -> None:
        """Run the command. Raises AirflowException with its last line of output when it fails."""
        command = [sys.executable, "-u", *self.command_line()[1:]]
        environment = child_environment(inherited_environment()) | TORCHRUN_ENVIRONMENT
        run_child(self._hook, self.module, command, environment)

    def command_line(self) -> list[str]:
        """Return the command that `execute` runs, once the templates are rendered."""
        processes = training_processes(settings()) if self.on_every_gpu else 1
        launcher = [*TORCHRUN, f"--nproc-per-node={processes}"] if processes > 1 else []
        return ["python", *launcher, "-m", self.module, *drop_unset(self.options)]

    def on_kill(self) -> None:
        """End the process group."""
        self._hook.send_sigterm()  # type: ignore[no-untyped-call]


class TrainingProcess(ChildProcess):
    """A child process of the nightly run in MLflow that the task `start_night_run` started."""

    operator_extra_links = (MlflowRunLink(),)
    runs_page: str | None = None
    """Address of the experiment's runs; None until the task starts."""

    def pre_execute(self, context: "Context") -> None:
        """Show the link from the start."""
        self.runs_page = context["ti"].xcom_pull(task_ids="start_night_run", key=RUNS_PAGE)
        push_links(self, context)


def run_child(hook: SubprocessHook, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run the command of `name`. Raises AirflowException with its last line of output when it fails."""
    result = hook.run_command(list(command), env=dict(environment), cwd=str(PROJECT_FILES))
    if result.exit_code != 0:
        ended = f"{name} ended with exit code {result.exit_code}"
        # The last line of a killed process is no reason.
        reason = OUT_OF_MEMORY if result.exit_code == -signal.SIGKILL else result.output
        raise AirflowException(f"{ended}: {reason}")


def drop_unset(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without the options that have no value."""
    return [argument for argument in arguments if argument.partition("=")[1:] != ("=", "")]


@task
def publish(step: str) -> dict[str, int]:
    """Commit the staged tables of a step if they passed its gate unchanged; return the new snapshot ids by table."""
    from pipeline_tasks.config.settings import settings
    from pipeline_tasks.quality.gate_report import publish_step

    return publish_step(settings(), resolve_run_key(get_current_context()), step)


def gate(step: str) -> SparkJob:
    """Return the task that checks the staged tables of `step` against their expectations."""
    job = SparkJob(
        task_id=f"validate_{step}",
        job="validate_tables.py",
        options=[f"--step={step}"],
        pool=SPARK_POOL,
        execution_timeout=timedelta(minutes=30),
    )
    job.operator_extra_links = (DataDocsLink(), SparkLink())
    return job


def publish_behind_gate(step: str) -> tuple[SparkJob, Any]:
    """Return the gate of `step` and the task that publishes after it, connected."""
    validated = gate(step)
    published = publish.override(task_id=f"publish_{step}")(step)
    validated >> published
    return validated, published

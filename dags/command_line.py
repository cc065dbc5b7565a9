"""The two operators that start heavy work, each as a process of its own: a killed task kills its work.

Arguments are lists, never a shell's text, so that nothing typed into a form is interpreted. An argument
``--option=`` whose template rendered to nothing is left out: the command's own default holds.
"""

import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from pipeline_tasks.config.settings import REPOSITORY, child_environment, inherited_environment, settings
from pipeline_tasks.local_runtime.gpu_count import TORCHRUN, TORCHRUN_ENVIRONMENT, training_processes
from pipeline_tasks.local_runtime.java import spark_java_options

if TYPE_CHECKING:
    from airflow.sdk import Context

THE_NIGHT = ("--source={{ night().source }}", "--date={{ night().ds }}")
"""What every command of the chain takes."""
OUT_OF_MEMORY = (
    "the system killed it, as a rule because memory was full: give the machine more, run less beside it, or take a "
    "shorter window (window_days)"
)
NO_USE_TO_SPARK = ("MLFLOW_TRACKING_",)
"""Beginnings of the variables that a Spark job is started without, beside those that no child process has."""


class SparkJob(SparkSubmitOperator):
    """spark-submit of one file of spark_jobs/, through the connection `spark_default`."""

    def __init__(
        self,
        *,
        job: str,
        options: Sequence[str] = (),
        about: Sequence[str] = THE_NIGHT,
        **of_any_task: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(
            application=str(REPOSITORY / "spark_jobs" / job),
            application_args=[*about, *options],
            conn_id="spark_default",
            driver_memory=settings().spark_driver_memory,
            # At INFO the words of a failed job drown in those of Spark's shutdown.
            conf={
                "spark.ui.enabled": "false",
                "spark.log.level": "WARN",
                "spark.driver.extraJavaOptions": spark_java_options(settings()),
            },
            name=f"{Path(job).stem}-{{{{ night().source }}}}-{{{{ night().ds }}}}",
            **of_any_task,
        )

    def execute(self, context: "Context") -> None:
        """Submit the job and wait for it."""
        self.application_args = without_unset(self.application_args or [])
        super().execute(context)

    def _get_hook(self) -> SparkSubmitHook:
        hook = super()._get_hook()
        environment = child_environment(inherited_environment(), NO_USE_TO_SPARK)
        # The provider can add variables to the environment, not withhold any.
        hook.submit = partial(hook.submit, env=environment)  # type: ignore[method-assign]
        return hook

    def command_line(self) -> list[str]:
        """Return the command that `execute` runs, once the templates are rendered."""
        self.application_args = without_unset(self.application_args or [])
        command: list[str] = self._get_hook()._build_spark_submit_command(self.application)
        return command


class ChildProcess(BaseOperator):
    """``python -m <module> <options>`` in a process group of its own, its output in the task's log.

    A killed or timed-out task ends the whole group: a training never outlives its task. `mapped` is what a mapped
    instance is about, for its templates: ``{{ task.mapped.candidate }}``. With `on_every_gpu`, torchrun starts the
    module once for each GPU of the machine that the task runs on, where there are several.
    """

    template_fields = ("options",)

    def __init__(
        self,
        *,
        module: str,
        options: Sequence[str] = (),
        mapped: Mapping[str, str] | None = None,
        on_every_gpu: bool = False,
        **of_any_task: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**of_any_task)
        self.module = module
        self.options = [*THE_NIGHT, *options]
        self.mapped = mapped or {}
        self.on_every_gpu = on_every_gpu
        self._hook = SubprocessHook()

    def execute(self, context: "Context") -> None:
        """Run the command; raises AirflowException with its last line when it fails."""
        command = [sys.executable, "-u", *self.command_line()[1:]]
        environment = child_environment(inherited_environment()) | TORCHRUN_ENVIRONMENT
        result = self._hook.run_command(command, env=environment, cwd=str(REPOSITORY))
        if result.exit_code != 0:
            ended = f"{self.module} ended with exit code {result.exit_code}"
            # The last line is then whatever was said before, and no reason.
            why = OUT_OF_MEMORY if result.exit_code == -signal.SIGKILL else result.output
            raise AirflowException(f"{ended}: {why}")

    def command_line(self) -> list[str]:
        """Return the command that `execute` runs, once the templates are rendered."""
        processes = training_processes(settings()) if self.on_every_gpu else 1
        together = [*TORCHRUN, f"--nproc-per-node={processes}"] if processes > 1 else []
        return ["python", *together, "-m", self.module, *without_unset(self.options)]

    def on_kill(self) -> None:
        """End the process group."""
        self._hook.send_sigterm()  # type: ignore[no-untyped-call]


def without_unset(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without the options that have no value."""
    return [argument for argument in arguments if argument.partition("=")[1:] != ("=", "")]

"""Says in a job's log how far Spark's running stages are: nightly tables of a million users take minutes."""

import threading
import time

from py4j.protocol import Py4JError
from pyspark import StatusTracker
from pyspark.sql import SparkSession

from pipeline_tasks import progress_log


def say_progress(spark: SparkSession) -> None:
    """Say every `progress_log.SILENCE` seconds how many tasks of the running stages are done, until Spark ends."""
    tracker = spark.sparkContext.statusTracker()
    threading.Thread(target=_speak, args=(tracker,), name="progress", daemon=True).start()


def running_stages(tracker: StatusTracker) -> str:
    """Return ``stage 12, 34 of 70 tasks; stage 13, …``, empty where none runs."""
    stages = [tracker.getStageInfo(stage) for stage in sorted(tracker.getActiveStageIds())]
    return "; ".join(
        f"stage {stage.stageId}, {stage.numCompletedTasks:,} of {stage.numTasks:,} tasks" for stage in stages if stage
    )


def _speak(tracker: StatusTracker) -> None:
    while True:
        time.sleep(progress_log.SILENCE)
        try:
            running = running_stages(tracker)
        except (Py4JError, ConnectionError):
            # The job is over, and its Java gone.
            return
        if running:
            print(f"Spark: {running}", flush=True)

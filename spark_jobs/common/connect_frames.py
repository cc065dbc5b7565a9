"""Makes frames of Spark Connect keep settings and free memory, as those of a classic session do by themselves."""

import atexit
from uuid import uuid4

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from pipeline_tasks.spark_place import is_connect


def analyzed(frame: DataFrame) -> DataFrame:
    """Return the frame; its expressions keep the settings of the session under which they were built.

    A classic frame is analyzed when it is built, one of Spark Connect each time that it runs. A temporary view of the
    session keeps the plan as it was analyzed, and the files that were listed.

    Raises:
        AnalysisException, ParseException: the plan is invalid.
    """
    if not is_connect(frame.sparkSession):
        return frame
    name = f"analyzed_{uuid4().hex}"
    frame.createTempView(name)
    return frame.sparkSession.table(name)


def persisted(frame: DataFrame, level: StorageLevel = StorageLevel.MEMORY_AND_DISK_DESER) -> DataFrame:
    """Keep the rows of the frame once they are computed, until the job ends, and return the frame.

    A server of Spark Connect would keep them for ever, because it outlives the job.
    """
    if is_connect(frame.sparkSession):
        atexit.register(frame.unpersist)
    return frame.persist(level)

"""Finds the expression of a mapping that fails on a value of the files.

Most functions return NULL for a value that they cannot use, and `spark_jobs/common/safe_expressions.py` makes others do
so. The remaining failures come from a time zone, a pattern or an index that is read from the file.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.errors import is_out_of_space
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.common.connect_frames import analyzed
from spark_jobs.common.safe_expressions import safe_expression
from spark_jobs.common.sql_expressions import file_columns, lenient

ExpressionSets = Iterable[tuple[DataFrame | None, Mapping[str, str]]]
"""Pairs of rows and the expressions over them, by key in the TOML."""

_NOT_A_VALUE: Final = ("FAILED_READ_FILE", "OutOfMemoryError", "EOFException")


@contextmanager
def value_failures(tried: Callable[[], ExpressionSets]) -> Iterator[None]:
    """Turn a failure of Spark on a value into one clear error. After a failure, each expression is run by itself.

    Raises:
        SourceError: an expression fails by itself; the message names it, the cause and the remedy.
        PySparkException, Py4JJavaError: as Spark raised it, where no expression is at fault.
    """
    try:
        yield
    except (AnalysisException, ParseException):
        raise
    except (PySparkException, Py4JJavaError) as error:
        if is_out_of_space(error) or any(sign in str(error) for sign in _NOT_A_VALUE):
            raise
        for frame, expressions in tried():
            for key, expression in expressions.items():
                cause = _failure(frame, expression, key) if frame is not None else None
                if cause:
                    raise SourceError(
                        f"{key} = {expression!r} fails on a value of the files: {cause} One such record must not end "
                        f"the run: test the value first (CASE WHEN … THEN … END) or use a try_ function, or leave the "
                        f"record out by where"
                    ) from error
        raise


def event_expressions(source: Source) -> dict[str, str]:
    """Return the expressions over events by key in the TOML, with those of catalogs that are read from events."""
    named = {f"events.columns.{k}": v for k, v in source.events.columns.model_dump().items() if v is not None}
    for kind, form in (("items", source.items), ("users", source.users)):
        if form is not None and form.path is None:
            named |= catalog_expressions(source, kind)
    return named


def catalog_expressions(source: Source, kind: str) -> dict[str, str]:
    """Return the expressions of `[items]` or `[users]` by key in the TOML."""
    form = source.items if kind == "items" else source.users
    if form is None:
        return {}
    named = {f"{kind}.columns.{k}": v for k, v in form.columns.model_dump().items() if v is not None}
    return named | {f"{kind}.attributes.{k}": v for k, v in form.attributes.items()}


def _failure(frame: DataFrame, expression: str, key: str) -> str | None:
    """Return the cause of a failure of the expression on the rows of `frame`, None where it does not fail."""
    with lenient(frame.sparkSession):
        one = analyzed(frame.select(F.expr(safe_expression(expression, file_columns(frame), key)).alias("value")))
    try:
        one.write.format("noop").mode("overwrite").save()
    except (PySparkException, Py4JJavaError) as error:
        cause = re.findall(r"(?:Caused by: )?[\w.]+(?:Exception|Error): ([^\n]+)", str(error))
        first = cause[-1] if cause else str(error).split("\n")[0]
        return first.split(" SQLSTATE")[0].strip().rstrip(".") + "."
    return None

"""Evaluates the Spark SQL expressions of a source's TOML: bad data gives NULL, a bad expression a clear error."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.common.connect_frames import analyzed
from spark_jobs.common.safe_expressions import HIDDEN, safe_expression, unmapped

_MODE: Final = {
    "spark.sql.ansi.enabled": "false",
    # Otherwise a name that the files lack refers to another column of the select: user_key = "item_id" gave item ids.
    "spark.sql.lateralColumnAlias.enableImplicitResolution": "false",
    # Otherwise ${env:…} in an expression reads a variable of the job's environment.
    "spark.sql.variable.substitute": "false",
}


@contextmanager
def lenient(spark: SparkSession) -> Iterator[None]:
    """Within the context, casts in expressions give NULL on bad data, and names refer to the files' columns alone.

    In the session's ANSI mode, `where = "Quantity > 0"` fails the job at the first CSV cell that is no number. Here the
    cell becomes NULL, and a rule of cleaning rejects the record. An expression keeps the mode in which it was built.
    """
    before = {name: spark.conf.get(name) for name in _MODE}
    try:
        for name, value in _MODE.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, present in before.items():
            spark.conf.set(name, present or "true")


def evaluate(
    frame: DataFrame,
    expressions: Mapping[str, str],
    keep: Sequence[str],
    where: str,
    keys: Mapping[str, str] | None = None,
    only: str | None = None,
) -> DataFrame:
    """Return the columns `keep` and one column per expression.

    Args:
        where: table of the expressions in the TOML, for messages.
        keys: column -> key in the TOML, where it is not the column's name.
        only: flag of the rows for which the expressions are evaluated; other rows get NULL.

    Raises:
        SourceError: an expression names a column that the files lack, or is invalid SQL; the message names its key.
    """
    kept: list[str | Column] = [F.col(name) for name in keep]
    safe = {
        name: safe_expression(text, file_columns(frame), f"{where}.{(keys or {}).get(name, name)}")
        for name, text in expressions.items()
    }
    with lenient(frame.sparkSession):
        try:
            return analyzed(frame.select(*kept, *(_guarded(F.expr(text), only).alias(n) for n, text in safe.items())))
        except (AnalysisException, ParseException):
            # One analysis serves all valid expressions. After a failure each is analyzed, to name the invalid one.
            named = [
                _guarded(checked(frame, text, f"{where}.{(keys or {}).get(name, name)}"), only).alias(name)
                for name, text in expressions.items()
            ]
            return analyzed(frame.select(*kept, *named))


def _guarded(value: Column, only: str | None) -> Column:
    return value if only is None else F.when(F.col(only), value)


def checked(frame: DataFrame, expression: str, where: str) -> Column:
    """Return the expression as a column of `frame`, analyzed now; to be called within `lenient`.

    Raises:
        SourceError: the expression names a column that the files lack, or is invalid SQL.
    """
    columns = file_columns(frame)
    safe = safe_expression(expression, columns, where)
    try:
        column = F.expr(safe)
        _ = frame.select(column).schema
    except (AnalysisException, ParseException) as error:
        raise unmapped(f"{where} = {expression!r}", _first_sentence(error), columns, where) from error
    return column


def file_columns(frame: DataFrame) -> list[str]:
    """Return the names that an expression may use: the file's columns and `_source_file`, without those of landing."""
    landed = {"_row", "_record_id", "ds", "arrived"}
    hidden = HIDDEN if landed.issubset(frame.columns) else {"_corrupt", "_kept"}
    return [name for name in frame.columns if name not in hidden]


def _first_sentence(error: Exception) -> str:
    return str(error).split(" SQLSTATE")[0].split("\n")[0].strip()

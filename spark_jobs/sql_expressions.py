"""Evaluates the Spark SQL expressions of a source's TOML file: never fatal on bad data, clear on a bad expression."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.intake.sources import SourceError


@contextmanager
def lenient(spark: SparkSession) -> Iterator[None]:
    """Build expressions whose casts give NULL on bad data.

    Under ANSI (the session's mode) `where = "Quantity > 0"` kills the job at the first CSV cell that is no number;
    here the cell becomes NULL, and a rule of cleaning refuses the record. An expression keeps the mode it was built in.
    """
    before = spark.conf.get("spark.sql.ansi.enabled")
    spark.conf.set("spark.sql.ansi.enabled", "false")
    try:
        yield
    finally:
        spark.conf.set("spark.sql.ansi.enabled", before or "true")


def evaluate(
    frame: DataFrame,
    expressions: Mapping[str, str],
    keep: Sequence[str],
    where: str,
    keys: Mapping[str, str] | None = None,
) -> DataFrame:
    """Return the columns `keep` and one column per expression.

    Raises:
        SourceError: an expression names a column that the files lack, or is no SQL; `where` and the column's name (or
            what `keys` says instead) tell whose it is.
    """
    kept: list[str | Column] = [F.col(name) for name in keep]
    with lenient(frame.sparkSession):
        try:
            return frame.select(*kept, *(F.expr(text).alias(name) for name, text in expressions.items()))
        except (AnalysisException, ParseException):
            # One analysis for all in the good case; one each, to name the culprit, in the bad one.
            named = [
                checked(frame, text, f"{where}.{(keys or {}).get(name, name)}").alias(name)
                for name, text in expressions.items()
            ]
            return frame.select(*kept, *named)


def checked(frame: DataFrame, expression: str, where: str) -> Column:
    """Return the expression as a column of `frame`, analyzed now. Call it within `lenient`."""
    try:
        column = F.expr(expression)
        _ = frame.select(column).schema
    except (AnalysisException, ParseException) as error:
        names = [name for name in frame.columns if not name.startswith("_")]
        raise SourceError(
            f"{where} = {expression!r} does not fit the files: {_first_sentence(error)} The files have the columns "
            f"{', '.join(names)}: correct {where} in the source's TOML"
        ) from error
    return column


def _first_sentence(error: Exception) -> str:
    return str(error).split(" SQLSTATE")[0].split("\n")[0].strip()

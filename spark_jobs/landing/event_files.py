"""Steps of landing events that files with and without a day in their path share."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import DataFrame, Observation, SparkSession

from pipeline_tasks.config.settings import settings
from pipeline_tasks.config.source_toml import Source
from pipeline_tasks.errors import is_out_of_space
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.landing import Ledger
from pipeline_tasks.sources.readable_files import readable_files
from pipeline_tasks.sources.source_files import SourceFile
from pipeline_tasks.sources.sources import SourceError
from spark_jobs.cleaning.map_events import with_event_time
from spark_jobs.cleaning.value_failures import ExpressionSets, value_failures
from spark_jobs.landing.event_days import shop_clock
from spark_jobs.landing.land_records import flag_selected, keep_selected, write_landing
from spark_jobs.landing.read_records import read_records

_DAMAGED: Final = re.compile("FAILED_READ_FILE|EOFException|ZipException|Unexpected end of|is not a Parquet file")
"""Of Spark's own reading of a file, and of the libraries below it."""


@contextmanager
def read_failures(paths: Sequence[str]) -> Iterator[None]:
    """Turn a failure of Spark to read a damaged file into one clear error that names the file.

    Raises:
        SourceError: a file is damaged, or a line of it does not fit into memory.
        PySparkException, Py4JJavaError: the original error, where no file is the cause.
    """
    try:
        yield
    except (AnalysisException, ParseException):
        raise
    except (PySparkException, Py4JJavaError) as error:
        text = str(error)
        if "OutOfMemoryError" in text:
            raise SourceError(
                f"{_failed_file(text, paths)} does not fit into {settings().spark_driver_memory} of memory: is a line "
                f"longer than 100 MB? Deliver it with line ends, or raise NIGHTSHELF_SPARK_DRIVER_MEMORY"
            ) from error
        if is_out_of_space(error) or not _DAMAGED.search(text):
            raise
        cause = re.search(r"Caused by: ([^\n]+)", text)
        raise SourceError(
            f"{_failed_file(text, paths)} cannot be read to its end "
            f"({cause.group(1) if cause else text.splitlines()[0]}): it is cut off or damaged; deliver it again"
        ) from error


def _failed_file(text: str, paths: Sequence[str]) -> str:
    mentioned = [path for path in paths if path in text or quote(path) in text]
    if mentioned:
        return max(mentioned, key=len)
    named = re.search(r"(?:reading file|in file|file:)[ :]*(file:[^\s,'\"]+|/[^\s,'\"]+)", text)
    return re.sub("^file:(//)?", "", named.group(1)).rstrip(".") if named else ", ".join(paths)


def write_events(
    spark: SparkSession,
    source: Source,
    paths: Sequence[str],
    incoming: Path,
    with_days: Callable[[DataFrame], DataFrame],
) -> dict[str, Any]:
    """Write the records of the files below `incoming`; return how many rows were read, and left out by `where`.

    `with_days` adds the columns that `write_landing` needs to records with `_ts`.
    """
    counts = Observation("events")
    scratch = incoming.with_name("unpacked")
    with read_failures(paths), readable_files(source.events, paths, scratch) as ready:

        def read() -> DataFrame:
            return read_records(spark, ready.form, ready.paths, "events", ready.origins)

        def expression_sets() -> ExpressionSets:
            named = {"events.where": source.events.where, "events.columns.ts": source.events.columns.ts}
            yield read(), {key: expression for key, expression in named.items() if expression}

        with value_failures(expression_sets):
            with shop_clock(spark, source.timezone):
                flagged = flag_selected(read(), source.events, "events")
            write_landing(with_days(keep_selected(with_event_time(flagged, source), counts)), incoming)
    return counts.get


def landing_method(source: Source) -> str:
    """Return a text of every setting that determines which records are landed, and under which day."""
    form, rules = source.events, source.rules
    days = f"{rules.earliest} {rules.late_days} {rules.waiting_days} {source.timezone or 'UTC'}"
    return f"{form.model_dump_json(exclude={'columns'})} {form.columns.ts} {days}"


def require_files(
    found: Mapping[date, Sequence[SourceFile]], source: Source, run: RunKey, pattern: str, ledger: Ledger
) -> None:
    """Print the earlier days of `found` without files.

    Raises:
        FileNotFoundError: the day of the run has no files.
    """
    if not found[run.ds]:
        wanted = pattern.replace("{ds}", run.ds.isoformat())
        waiting = ledger.rows(run.ds)
        note = f" {waiting} records of that day came with other files and wait for its own." if waiting else ""
        raise FileNotFoundError(
            f"No events of {source.name} for {run.ds}: no file fits {wanted}; deliver it, or correct events.path or "
            f"--source-path.{note} Where to get it: {source.where_to_get}"
        )
    missing = [day.isoformat() for day, files in found.items() if not files]
    if missing:
        print(f"land events: no delivery for {len(missing)} earlier days: {', '.join(missing)}")


def waiting_note(ledger: Ledger, run: RunKey) -> str:
    """Return a text with the number of landed records of days after the run; empty for none."""
    later = [day for day in ledger.days() if day > run.ds]
    if not later:
        return ""
    rows = sum(ledger.rows(day) for day in later)
    days = f"{later[0]}" if len(later) == 1 else f"{later[0]} to {later[-1]}"
    return f"; {rows} records of later days are cleaned by the runs of their days ({days})"

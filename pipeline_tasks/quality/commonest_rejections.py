"""Names the rules that refused most rows, with an example and a remedy of each, for the message of a closed gate.

Imports no Great Expectations.
"""

import re
from datetime import date
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.quality.rule_remedies import WITHOUT_A_DAY, remedy_of

_RULES: Final = 3
_LONGEST: Final = 160
"""Characters of an example."""


class Refusals(NamedTuple):
    """Parts of a finding."""

    observed: str
    remedy: str


def commonest_refusals(counts: DataFrame, outcome: str, day: date | None) -> Refusals:
    """Return the commonest rules of an outcome with their examples, and what to do about them.

    Args:
        counts: the table `reconciliation`; the view `quarantine` holds the refused records.
        outcome: that counts the refused rows of one kind of delivery.
        day: the one at fault, None where the whole delivery is; rows without a day of their own are not a day's.
    """
    wanted = F.col("outcome") == outcome
    if day is not None:
        wanted = wanted & (F.col("ds") == F.lit(day)) & ~F.col("rule").isin(*WITHOUT_A_DAY)
    by_rule = counts.where(wanted & (F.col("rows") > 0)).groupBy("rule").agg(F.sum("rows").alias("n"))
    found = [(row["rule"], row["n"]) for row in by_rule.orderBy(F.desc("n"), "rule").limit(_RULES).collect()]
    if not found:
        return Refusals("", "")
    quarantine = counts.sparkSession.table("quarantine")
    examples = _examples(quarantine, [rule for rule, _ in found], day)
    named = [f"{rule} {rows:,} rows{_example(examples, rule)}" for rule, rows in found]
    remedies = [f"{rule}: {remedy_of(rule)}" for rule, _ in found]
    return Refusals(f"refused most by {'; '.join(named)}", f"{'; '.join(remedies)}. {_query(quarantine)}".strip())


def _examples(quarantine: DataFrame, rules: list[str], day: date | None) -> dict[str, Any]:
    """Return by rule the commonest detail, and a record where the detail says no value."""
    rows = quarantine.where(F.col("rule").isin(*rules))
    rows = rows if day is None else rows.where(F.col("ds") == F.lit(day))
    detail = F.mode("detail", deterministic=True)
    found = rows.groupBy("rule").agg(detail.alias("detail"), F.min("raw").alias("raw")).collect()
    return {
        row["rule"]: row["detail"] if "=" in (row["detail"] or "") else " in ".join(filter(None, row[1:]))
        for row in found
    }


def _example(examples: dict[str, Any], rule: str) -> str:
    text = " ".join(str(examples.get(rule) or "").split())
    return f", e.g. {text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}" if text else ""


def _query(quarantine: DataFrame) -> str:
    """Return the command that shows the refused rows where they are staged, as nothing was published."""
    files = [unquote(file).removeprefix("file://") for file in quarantine.inputFiles()]
    if not files:
        return ""
    # All files of a staged table lie below one folder, each in the folder of its day.
    folder = re.sub(r"([*?\[])", r"[\1]", files[0].rpartition("/_ds=")[0] or files[0].rpartition("/")[0])
    quoted = folder.replace("'", "''")
    rows = f"read_parquet('{quoted}/**/*.parquet', hive_partitioning = false)"
    query = f"SELECT rule, detail, count(*) AS n, any_value(raw) AS example FROM {rows} GROUP BY ALL ORDER BY n DESC"
    escaped = re.sub(r'([$`"\\])', r"\\\1", query)
    return f'To see them: nightshelf sql "{escaped}"'

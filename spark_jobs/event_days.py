"""Decides the day of an event, and whether its time is possible."""

from datetime import date

from pyspark.sql import Column
from pyspark.sql import functions as F

from pipeline_tasks.intake.source_contract import Rules


def day_of(ts: Column | str) -> Column:
    """Return the day of a timestamp: the only way in which a day is derived from one."""
    return F.to_date(ts)


def possible_day(happened: Column, rules: Rules, file_day: Column | date) -> Column:
    """Return `happened` where that day is possible for a record of a file of `file_day`, else NULL."""
    latest = F.date_add(file_day if isinstance(file_day, Column) else F.lit(file_day), rules.waiting_days)
    return F.when((happened >= F.lit(rules.earliest)) & (happened <= latest), happened)

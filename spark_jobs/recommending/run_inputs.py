"""What all nightly tables are made from: one night's published tables, its vectors, and the shop's rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.business_rules import BusinessRules, load_business_rules
from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.settings import settings
from pipeline_tasks.evaluation.repeat_policy import RepeatPolicy
from pipeline_tasks.lake.lake import Days, Lake
from pipeline_tasks.lake.staging import night_folder
from pipeline_tasks.recommend.excluded_items import Excluded, find_excluded
from pipeline_tasks.recommend.offered_items import OfferedItems, open_offered_items
from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items, read_meta
from pipeline_tasks.registry.served_policy import REPEAT_POLICY
from pipeline_tasks.run_key import RunKey
from spark_jobs.common.stage_table import read_table
from spark_jobs.recommending.fallback_recommendations import days_before_end
from spark_jobs.recommending.find_replenishable import find_replenishable
from spark_jobs.recommending.user_batch import COLUMNS, USERS_PER_PART, VECTORS, count_parts

_READ: Final = ("splits", "sequences", "items", "events")


@dataclass
class RunInputs:
    """One night, read once."""

    spark: SparkSession
    run: RunKey
    scoring: ScoringSettings
    lake: Lake
    snapshots: Mapping[str, int | None]
    """Of the tables that are read, all of one moment: another night may be published meanwhile."""
    vectors: Path
    """Folder written by embed_shelf."""
    meta: dict[str, Any]
    rules: BusinessRules
    excluded: Excluded
    catalog: pa.Table
    """Rows of `items`."""
    folder: str
    """Of the prepared shelf."""
    lost: int
    """Embedded items that are no longer in the catalog."""
    sequences: DataFrame
    window: tuple[date, date]
    """First and last day of the events behind the split."""
    zone: str | None = None
    """Of the shop's days."""

    @property
    def ds(self) -> date:
        """The night's day."""
        return self.run.ds

    @property
    def version(self) -> str:
        """Registered model and version that made the vectors."""
        return str(self.meta["model_version"])

    @property
    def policy(self) -> RepeatPolicy:
        """What of a user's own events keeps an item away, as the model was judged with it."""
        facts = self.meta.get(REPEAT_POLICY)
        return RepeatPolicy.from_facts(facts) if facts else RepeatPolicy((), self.scoring.exclude_purchased_days)

    @property
    def shelf(self) -> OfferedItems:
        """The prepared shelf."""
        return open_offered_items(self.folder)

    @property
    def end(self) -> int:
        """The end of the night in epoch microseconds."""
        return days_before_end(self.ds, 0, self.zone)

    @property
    def window_days(self) -> int:
        """Days of the window, the night's own included."""
        return (self.ds - self.window[0]).days + 1

    @property
    def purchase_days(self) -> int:
        """Days up to the night whose purchases keep an item off a shelf: those asked for, as far as the window goes."""
        return min(self.scoring.exclude_purchased_days, self.window_days)

    @property
    def bought_since(self) -> int:
        """Purchases at or after this (epoch microseconds) are recent."""
        return days_before_end(self.ds, self.scoring.exclude_purchased_days, self.zone)

    @property
    def files(self) -> int:
        """Files of a table of a few rows per user, each written by one task: one on a small night."""
        return max(1, int(self.meta["users"]) // USERS_PER_PART)

    @cached_property
    def items(self) -> DataFrame:
        """The night's catalog."""
        return self._read("items", (self.ds, self.ds))

    @cached_property
    def events(self) -> DataFrame:
        """The events of the window."""
        return self._read("events", self.window)

    @cached_property
    def user_vectors(self) -> DataFrame:
        """(user_key, vector, own_items, own_scores) of all users with a vector."""
        return self.spark.read.schema(VECTORS).parquet(str(self.vectors / "users"))

    @cached_property
    def users(self) -> DataFrame:
        """The columns of `shopper_batch.COLUMNS` of every known user with history, by user_key."""
        history = self.sequences.where(F.col("user_key").isNotNull())
        joined = (
            history.select("user_key", *COLUMNS[4:])
            .join(self.user_vectors, "user_key", how="inner")
            .repartition(count_parts(self.spark, self.meta["users"]), "user_key")
            .sortWithinPartitions("user_key")
        )
        # Three tables are made from it; on disk where memory is short.
        return joined.persist(StorageLevel.MEMORY_AND_DISK)

    def _read(self, name: str, days: Days) -> DataFrame:
        return read_table(self.spark, self.lake, name, days, snapshot_id=self.snapshots[name])


def read_night_inputs(spark: SparkSession, run: RunKey, scoring: ScoringSettings) -> RunInputs:
    """Read the night and prepare its shelf.

    Raises:
        FileNotFoundError: the night has no vectors.
        ValueError: the vectors are not finite, of different widths, or for none of the catalog; the shop's rules
            cannot be read, or leave nothing to show; or the night was never split.
    """
    lake, day = Lake.open(settings(), run.source), (run.ds, run.ds)
    vectors = night_folder(settings(), run) / "vectors"
    meta = read_meta(vectors)
    rules = load_business_rules(scoring.shelf_rules)
    state = lake.at_one_moment()
    snapshots = {name: state.snapshot_id(name) for name in _READ}
    catalog = lake.read("items", day, snapshot_id=snapshots["items"])
    zone = lake.facts("splits").get("timezone") or None
    excluded = find_excluded(rules.exclude, catalog)
    sequences = read_table(spark, lake, "sequences", day, snapshot_id=snapshots["sequences"])
    again = find_replenishable(rules.replenishable, catalog, sequences, zone)
    folder, lost = prepare_offered_items(vectors, catalog, excluded, again)
    # The block of users that is scored at a time is the batch that Spark hands over.
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(scoring.block_users))
    # What is sorted by user is grouped as it streams by: a third of the time of a hash of lists and medians.
    spark.conf.set("spark.sql.execution.replaceHashWithSortAgg", "true")
    window = (_window_start(lake, run, snapshots["splits"]), run.ds)
    prepared = (vectors, meta, rules, excluded, catalog, folder, lost)
    return RunInputs(spark, run, scoring, lake, snapshots, *prepared, sequences, window, zone)


def _window_start(lake: Lake, run: RunKey, snapshot_id: int | None) -> date:
    read = lake.read("splits", (run.ds, run.ds), ("window_start",), snapshot_id)
    starts = read["window_start"].to_pylist()
    if not starts:
        raise ValueError(f"{run.source} {run.ds} was never split: run split_behavior for it first")
    first: date = min(starts)
    return first

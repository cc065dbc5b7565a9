"""Compute the night's tables: recommendations, fallback_recommendations, similar_items.

    python spark_jobs/recommend_items.py --source simulated_shop --date 2026-11-20 --top-k 20

Reads the vectors that pipeline_tasks.embed_shelf wrote; writes the manifest `recommend`. Nothing is visible before it
is gated and published.
"""

import argparse
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.clear_exit import clear_exit
from pipeline_tasks.contracts import TABLES
from pipeline_tasks.lake import Lake
from pipeline_tasks.night import Night, parse_day
from pipeline_tasks.schemas import spark_ddl
from pipeline_tasks.settings import ScoringSettings, settings
from pipeline_tasks.shelf import open_shelf, prepare_shelf, read_meta
from pipeline_tasks.staging import Manifest, night_folder, write_manifest
from spark_jobs.fallback_shelves import build_fallback, days_before_end
from spark_jobs.find_similar_items import similar_finder
from spark_jobs.recommend_shoppers import Order, recommender
from spark_jobs.spark_session import open_session
from spark_jobs.stage_table import read_table, stage_table


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    scoring = settings().scoring
    parser = argparse.ArgumentParser(description="Compute the nightly recommendation tables")
    parser.add_argument("--source", required=True, help="name of the source")
    parser.add_argument("--date", required=True, type=parse_day, help="the night, YYYY-MM-DD")
    parser.add_argument("--top-k", type=int, default=scoring.top_k, help="rows per shopper")
    parser.add_argument(
        "--exclude-purchased-days",
        type=int,
        default=scoring.exclude_purchased_days,
        help="items bought within so many days, the night's included, are left out; 0 leaves none out",
    )
    return parser


class ShelfBuilder:
    """Builds the three tables of one night."""

    def __init__(self, spark: SparkSession, night: Night, scoring: ScoringSettings) -> None:
        self.spark, self.night, self.scoring = spark, night, scoring
        self.lake = Lake.open(settings(), night.source)
        self.vectors = night_folder(settings(), night) / "vectors"
        self.meta = read_meta(self.vectors)
        self.version = str(self.meta["model_version"])
        day = (night.ds, night.ds)
        self.folder, self.lost = prepare_shelf(self.vectors, self.lake.read("items", day))
        self.items = read_table(spark, self.lake, "items", day)
        self.sequences = read_table(spark, self.lake, "sequences", day)
        self.profiles = read_table(spark, self.lake, "user_profiles", day)
        # The block of shoppers that is scored at a time is the batch that Spark hands over.
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(scoring.block_users))

    def recommendations(self) -> DataFrame:
        """Return the shelf of every known shopper with history."""
        order = Order(
            folder=self.folder,
            rows=self.scoring.top_k,
            bought_since=days_before_end(self.night.ds, self.scoring.exclude_purchased_days),
            block=self.scoring.block_users,
            model_version=self.version,
            ds=self.night.ds,
        )
        partitions = max(self.spark.sparkContext.defaultParallelism, self.meta["users"] // 20_000)
        vectors = self.spark.read.parquet(str(self.vectors / "users")).select("user_key", "vector")
        history = self.sequences.where(F.col("user_key").isNotNull())
        shoppers = (
            history.select("user_key", "item_ids", "event_types", "timestamps")
            .join(vectors, "user_key", how="inner")
            .repartition(partitions, "user_key")
            .sortWithinPartitions("user_key")
        )
        # Matrix products over whole blocks: no Spark expression does this.
        return shoppers.mapInArrow(recommender(order), spark_ddl(TABLES["recommendations"]))

    def fallback(self) -> DataFrame:
        """Return the shelves for new and anonymous shoppers."""
        since = days_before_end(self.night.ds, self.scoring.fallback_days)
        rows, ds = self.scoring.fallback_k, self.night.ds
        return build_fallback(self.sequences, self.profiles, self.items, rows, since, self.version, ds).coalesce(1)

    def similar(self) -> DataFrame:
        """Return the nearest items of every item."""
        items, parallel = len(open_shelf(self.folder).item_ids), self.spark.sparkContext.defaultParallelism
        finder = similar_finder(
            self.folder, self.scoring.similar_k, self.scoring.block_users, self.version, self.night.ds
        )
        ids = self.spark.range(0, items, 1, min(parallel, items))
        return ids.mapInArrow(finder, spark_ddl(TABLES["similar_items"]))

    def facts(self) -> dict[str, str]:
        """Return what the tables were made from."""
        facts: dict[str, Any] = {
            "model_version": self.version,
            "top_k": self.scoring.top_k,
            "exclude_purchased_days": self.scoring.exclude_purchased_days,
            "scored_items": len(open_shelf(self.folder).item_ids),
            "lost_items": self.lost,
        }
        facts |= {f"{name}_snapshot_id": self.lake.snapshot_id(name) for name in ("sequences", "items")}
        return {name: str(value) for name, value in facts.items()}


def build(spark: SparkSession, night: Night, scoring: ScoringSettings) -> Manifest:
    """Build the step's tables and return their manifest.

    Raises:
        FileNotFoundError: the night has no vectors.
        ValueError: the vectors are not finite, of different widths, or for none of the catalog.
    """
    builder = ShelfBuilder(spark, night, scoring)
    tables = {
        "recommendations": builder.recommendations(),
        "fallback_recommendations": builder.fallback(),
        "similar_items": builder.similar(),
    }
    staged = {name: stage_table(builder.lake, name, rows, [night.ds]) for name, rows in tables.items()}
    facts = builder.facts()
    print(
        f"recommend {night.source} {night.ds}: {', '.join(f'{n} {t.rows}' for n, t in staged.items())}; {facts}; "
        f"{builder.lost} embedded items are no longer in the catalog"
    )
    return Manifest(source=night.source, ds=night.ds, step="recommend", tables=staged, facts=facts)


def main() -> None:
    """Run the job."""
    arguments = arg_parser().parse_args()
    with clear_exit():
        night = Night(arguments.source, arguments.date)
        chosen = {"top_k": arguments.top_k, "exclude_purchased_days": arguments.exclude_purchased_days}
        scoring = ScoringSettings.model_validate(settings().scoring.model_dump() | chosen)
        spark = open_session(f"recommend {night.source} {night.ds}")
        write_manifest(settings(), build(spark, night, scoring))


if __name__ == "__main__":
    main()

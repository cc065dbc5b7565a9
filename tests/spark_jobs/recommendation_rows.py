"""Stages the recommendations of the small run, and reads them back."""

from typing import Any

from pyspark.sql import SparkSession

from pipeline_tasks.config.recommendation_settings import ScoringSettings
from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.staging import Manifest
from spark_jobs.recommending.run_inputs import read_run_inputs
from spark_jobs.recommending.run_tables import stage_recommendations
from tests.spark_jobs.small_run import RUN_KEY, SCORING, rows_of


def by_score(home: Settings) -> ScoringSettings:
    """Return settings that keep the order of the model's scores."""
    return SCORING.model_copy(update={"shelf_rules": home.home / "by_score.toml"})


def stage_only_recommendations(spark: SparkSession, **scoring: object) -> Manifest:
    """Stage only the recommendations, with other settings."""
    inputs = read_run_inputs(spark, RUN_KEY, SCORING.model_copy(update=scoring))
    try:
        staged = stage_recommendations(inputs)
    finally:
        inputs.users.unpersist()
    return Manifest(source="shop", ds=RUN_KEY.ds, step="recommend", tables=staged.tables, facts=staged.facts)


def recommendations_of(manifest: Manifest, user: str) -> list[dict[str, Any]]:
    return [row for row in rows_of(manifest, "recommendations") if row["user_key"] == user]

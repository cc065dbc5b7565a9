"""Stages the tables of a run in groups that are independent of one another."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.lake.staging import StagedTable
from pipeline_tasks.models.user_clusters import fit_clusters, sample_tastes, sample_vectors
from pipeline_tasks.recommend.search_results import find_items, save_found
from pipeline_tasks.spark_place import cores
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import spark_ddl
from pipeline_tasks.topk.pair_scores import DotScores
from pipeline_tasks.topk.top_k import REPAID, explain_first_pass
from spark_jobs.common.stage_table import local_rows, no_rows, stage_table
from spark_jobs.recommending.build_profiles import cluster_users, profile_users
from spark_jobs.recommending.fallback_recommendations import build_fallback, days_before_end
from spark_jobs.recommending.find_audiences import AudienceRequest, find_audiences
from spark_jobs.recommending.find_neighbor_items import NeighborRequest, NeighborTable, neighbor_finder
from spark_jobs.recommending.forecast_demand import build_outlook, daily_purchases, read_sales, window_until
from spark_jobs.recommending.predict_intent import learn_intent, predict_intent
from spark_jobs.recommending.recommend_users import RecommendationRequest, recommender
from spark_jobs.recommending.run_inputs import RunInputs
from spark_jobs.recommending.search_items import (
    SearchRequest,
    find_searchers,
    found_file,
    global_results,
    personal_results,
    suggestions,
)

_PROBED_USERS: Final = 256
"""Users whose vectors tell which first pass of the top-k is taken."""
_HIDDEN: Final = pa.schema([("item_id", pa.string())])


@dataclass
class Staged:
    """The staged tables of a group, and their facts for the manifest."""

    tables: dict[str, StagedTable] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


def stage_recommendations(inputs: RunInputs) -> Staged:
    """Stage the recommendations of every known user with history."""
    request = RecommendationRequest(
        folder=inputs.folder,
        rows=inputs.scoring.top_k,
        bought_since=inputs.bought_since,
        block=inputs.scoring.block_users,
        model_version=inputs.version,
        ds=inputs.ds,
        rules=inputs.rules,
        excluded_types=inputs.policy.excluded_types,
    )
    # Spark has no expression for matrix products of whole blocks.
    rows = inputs.users.mapInArrow(recommender(request), spark_ddl(TABLES["recommendations"]))
    staged = _stage(inputs, "recommendations", rows)
    served, full = (_count_rank(staged, rank) for rank in (1, inputs.scoring.top_k))
    facts = {"shoppers_without_a_shelf": inputs.meta["users"] - served, "shoppers_with_a_shorter_shelf": served - full}
    described = {name: str(count) for name, count in facts.items()} | {"first_pass": _first_pass(inputs)}
    return Staged({"recommendations": staged}, described)


def _first_pass(inputs: RunInputs) -> str:
    """Return which first pass of the top-k scored the recommendations, and why (`explain_first_pass`)."""
    if inputs.spark.conf.get("spark.task.resource.gpu.amount", ""):
        return "16 bits: on GPUs"
    offered, users = inputs.offered, inputs.meta["users"]
    if not isinstance(offered.scoring, DotScores):
        return "float32: the additive score is no product of vectors"
    pairs = users * offered.allowed // cores(inputs.spark)
    probed = sample_vectors(inputs.vectors / "users", users, _PROBED_USERS) if pairs >= REPAID else offered.vectors[:0]
    return explain_first_pass(probed, offered.vectors[: offered.allowed], inputs.scoring.top_k, pairs)


def stage_profiles(inputs: RunInputs) -> Staged:
    """Stage user_profiles, and fallback_recommendations by the segments of the profiles."""
    width, users = inputs.meta.get("content_dimension", inputs.meta["dimension"]), inputs.meta["users"]
    centers = fit_clusters(sample_tastes(inputs.vectors / "users", users, width), inputs.scoring.clusters)
    clusters = cluster_users(inputs.user_vectors, centers)
    profiles = profile_users(inputs.events, inputs.items, clusters, inputs.ds, inputs.window_days, users, inputs.zone)
    staged = _stage(inputs, "user_profiles", profiles.coalesce(inputs.files).sortWithinPartitions("user_key"))
    segments = _read_staged(inputs, "user_profiles", staged)
    shown = _without(inputs, inputs.items)
    fallback = build_fallback(
        inputs.sequences,
        segments,
        shown,
        inputs.scoring.fallback_k,
        days_before_end(inputs.ds, inputs.scoring.fallback_days, inputs.zone),
        inputs.version,
        inputs.ds,
    )
    tables = {
        "user_profiles": staged,
        "fallback_recommendations": _stage(inputs, "fallback_recommendations", fallback.coalesce(1)),
    }
    return Staged(tables, {"clusters": str(len(centers))})


def stage_neighbors(inputs: RunInputs) -> Staged:
    """Stage similar_items and next_items."""
    wanted: dict[NeighborTable, int] = {"similar_items": inputs.scoring.similar_k, "next_items": inputs.scoring.next_k}
    return Staged({table: _stage_neighbor_table(inputs, table, rows) for table, rows in wanted.items()})


def _stage_neighbor_table(inputs: RunInputs, table: NeighborTable, rows: int) -> StagedTable:
    if not rows:
        return _stage(inputs, table, no_rows(inputs.spark, table))
    items, parallel = len(inputs.offered.item_ids), cores(inputs.spark)
    request = NeighborRequest(table, inputs.folder, rows, inputs.scoring.block_users, inputs.version, inputs.ds)
    ids = inputs.spark.range(0, items, 1, min(parallel, items))
    return _stage(inputs, table, ids.mapInArrow(neighbor_finder(request), spark_ddl(TABLES[table])))


def stage_outlook(inputs: RunInputs) -> Staged:
    """Stage the tables that need the purchases of the window: purchase_intent, demand_outlook and audiences."""
    purchases = daily_purchases(inputs.sequences, inputs.zone).toArrow()
    history = inputs.sequences.where(F.col("user_key").isNotNull())
    fitted = learn_intent(history, inputs.meta["users"], inputs.offered, inputs.end)
    empty = no_rows(inputs.spark, "purchase_intent")
    predicted = predict_intent(history, fitted.model, inputs.folder, inputs.end, inputs.ds) if fitted.model else empty
    ids, sales = read_sales(purchases, inputs.catalog, window_until(inputs.ds, inputs.window[0]))
    demand = build_outlook(ids, sales, fitted.growth, inputs.ds)
    request = AudienceRequest(
        folder=inputs.folder,
        items=_most_purchased(inputs, purchases),
        rows=inputs.scoring.audience_k,
        bought_since=inputs.bought_since,
        block=inputs.scoring.block_users,
        model_version=inputs.version,
        ds=inputs.ds,
        excluded_types=inputs.policy.excluded_types,
    )
    tables = {
        "purchase_intent": _stage(inputs, "purchase_intent", predicted),
        "audiences": _stage(inputs, "audiences", find_audiences(inputs.users, request)),
        "demand_outlook": _write(inputs, "demand_outlook", demand.rows),
    }
    return Staged(tables, fitted.facts | demand.facts)


def stage_search(inputs: RunInputs) -> Staged:
    """Stage search_results and search_suggestions; both are empty when no event has a query."""
    found = find_items(inputs.vectors, inputs.offered, inputs.catalog)
    if not found.queries:
        return Staged(
            {name: StagedTable(days=[inputs.ds], files=[], rows=0) for name in ("search_results", "search_suggestions")}
        )
    path = found_file(inputs.folder)
    save_found(found, path)
    request = SearchRequest(inputs.folder, str(path), inputs.scoring.search_k, inputs.version, inputs.ds)
    everyone = _write(inputs, "search_results", global_results(found, inputs.offered, request))
    since = inputs.ds - timedelta(days=inputs.scoring.search_days - 1)
    searchers = find_searchers(inputs.events, found.queries, since)
    rows = personal_results(searchers, inputs.user_vectors, request).coalesce(inputs.files)
    personal = _stage(inputs, "search_results", rows)
    queries = pq.read_table(inputs.vectors / "queries.parquet")
    tables = {
        "search_results": StagedTable(
            days=[inputs.ds], files=everyone.files + personal.files, rows=everyone.rows + personal.rows
        ),
        "search_suggestions": _write(inputs, "search_suggestions", suggestions(queries, inputs.ds)),
    }
    return Staged(tables, {"queries": str(len(found.queries))})


GROUPS: Final[tuple[Callable[[RunInputs], Staged], ...]] = (
    stage_recommendations,
    stage_profiles,
    stage_outlook,
    stage_search,
    stage_neighbors,
)
"""What `recommend_items` runs: each group stages its tables from the same inputs."""


def _stage(inputs: RunInputs, name: str, rows: DataFrame) -> StagedTable:
    return stage_table(inputs.lake, name, rows, [inputs.ds])


def _read_staged(inputs: RunInputs, name: str, staged: StagedTable) -> DataFrame:
    """Return the staged rows; a table without rows has no file."""
    schema = spark_ddl(TABLES[name])
    return inputs.spark.read.schema(schema).parquet(*staged.files) if staged.files else no_rows(inputs.spark, name)


def _write(inputs: RunInputs, name: str, rows: pa.Table) -> StagedTable:
    """Stage rows that the driver holds without a Spark job, which would take longer than computing them."""
    return StagedTable(days=[inputs.ds], files=inputs.lake.write_arrow(name, rows), rows=rows.num_rows)


def _without(inputs: RunInputs, items: DataFrame) -> DataFrame:
    """Return the items that may be shown."""
    if not inputs.excluded.items:
        return items
    # A join and not isin: Python passes the items of a list to Java one by one, 50,000 in 49 s in place of 3.
    hidden = local_rows(inputs.spark, [(item_id,) for item_id in inputs.excluded.items], _HIDDEN)
    return items.join(F.broadcast(hidden), on="item_id", how="left_anti")


def _most_purchased(inputs: RunInputs, purchases: pa.Table) -> tuple[int, ...]:
    """Return the sorted indices of the `audience_items` most purchased items that may be shown.

    At ties, and where fewer were purchased, the lower index is taken.
    """
    places = inputs.offered.indices(purchases["item_id"].combine_chunks())
    shown = (places >= 0) & (places < inputs.offered.allowed)
    totals = np.zeros(inputs.offered.allowed, np.int64)
    np.add.at(totals, places[shown], purchases["purchases"].to_numpy()[shown])
    order = np.argsort(-totals, kind="stable")
    return tuple(sorted(order[: inputs.scoring.audience_items].tolist()))


def _count_rank(staged: StagedTable, rank: int) -> int:
    ranks = (pq.read_table(file, columns=["rank"], partitioning=None)["rank"] for file in staged.files)
    return sum(pc.sum(pc.equal(column, rank)).as_py() or 0 for column in ranks)

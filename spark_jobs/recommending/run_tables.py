"""Stages the night's tables, in groups that do not wait for one another."""

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
from pipeline_tasks.models.user_clusters import fit_clusters, sample_tastes
from pipeline_tasks.recommend.search_results import find_items, save_found
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import spark_ddl
from spark_jobs.common.local_rows import local_rows, no_rows
from spark_jobs.common.stage_table import stage_table
from spark_jobs.recommending.build_profiles import profile_users
from spark_jobs.recommending.cluster_users import cluster_users
from spark_jobs.recommending.fallback_recommendations import build_fallback, days_before_end
from spark_jobs.recommending.find_audiences import AudienceOrder, find_audiences
from spark_jobs.recommending.find_neighbor_items import NeighborOrder, NeighborTable, neighbor_finder
from spark_jobs.recommending.forecast_demand import daily_purchases, outlook, read_sales, window_until
from spark_jobs.recommending.predict_intent import learn_intent, predict_intent
from spark_jobs.recommending.recommend_users import Order, recommender
from spark_jobs.recommending.run_inputs import RunInputs
from spark_jobs.recommending.search_items import (
    SearchOrder,
    everybodys_results,
    find_askers,
    found_file,
    own_results,
    suggestions,
)

_HIDDEN: Final = pa.schema([("item_id", pa.string())])


@dataclass
class Staged:
    """What a group of tables came to."""

    tables: dict[str, StagedTable] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


def stage_recommendations(night: RunInputs) -> Staged:
    """Stage the shelf of every known user with history."""
    order = Order(
        folder=night.folder,
        rows=night.scoring.top_k,
        bought_since=night.bought_since,
        block=night.scoring.block_users,
        model_version=night.version,
        ds=night.ds,
        rules=night.rules,
        excluded_types=night.policy.excluded_types,
    )
    # Matrix products over whole blocks: no Spark expression does this.
    rows = night.users.mapInArrow(recommender(order), spark_ddl(TABLES["recommendations"]))
    staged = _stage(night, "recommendations", rows)
    served, full = (_count_rank(staged, rank) for rank in (1, night.scoring.top_k))
    facts = {"shoppers_without_a_shelf": night.meta["users"] - served, "shoppers_with_a_shorter_shelf": served - full}
    return Staged({"recommendations": staged}, {name: str(count) for name, count in facts.items()})


def stage_profiles(night: RunInputs) -> Staged:
    """Stage user_profiles and, by their segments, fallback_recommendations."""
    width, users = night.meta.get("content_dimension", night.meta["dimension"]), night.meta["users"]
    centers = fit_clusters(sample_tastes(night.vectors / "users", users, width), night.scoring.clusters)
    clusters = cluster_users(night.user_vectors, centers)
    profiles = profile_users(night.events, night.items, clusters, night.ds, night.window_days, users, night.zone)
    staged = _stage(night, "user_profiles", profiles.coalesce(night.files).sortWithinPartitions("user_key"))
    segments = _read_staged(night, "user_profiles", staged)
    shown = _without(night, night.items)
    fallback = build_fallback(
        night.sequences,
        segments,
        shown,
        night.scoring.fallback_k,
        days_before_end(night.ds, night.scoring.fallback_days, night.zone),
        night.version,
        night.ds,
    )
    tables = {
        "user_profiles": staged,
        "fallback_recommendations": _stage(night, "fallback_recommendations", fallback.coalesce(1)),
    }
    return Staged(tables, {"clusters": str(len(centers))})


def stage_neighbors(night: RunInputs) -> Staged:
    """Stage what stands beside every item: similar_items and next_items."""
    wanted: dict[NeighborTable, int] = {"similar_items": night.scoring.similar_k, "next_items": night.scoring.next_k}
    return Staged({table: _stage_beside(night, table, rows) for table, rows in wanted.items()})


def _stage_beside(night: RunInputs, table: NeighborTable, rows: int) -> StagedTable:
    if not rows:
        return _stage(night, table, no_rows(night.spark, table))
    items, parallel = len(night.shelf.item_ids), night.spark.sparkContext.defaultParallelism
    order = NeighborOrder(table, night.folder, rows, night.scoring.block_users, night.version, night.ds)
    ids = night.spark.range(0, items, 1, min(parallel, items))
    return _stage(night, table, ids.mapInArrow(neighbor_finder(order), spark_ddl(TABLES[table])))


def stage_outlook(night: RunInputs) -> Staged:
    """Stage what needs the window's purchases: purchase_intent, demand_outlook and audiences."""
    purchases = daily_purchases(night.sequences, night.zone).toArrow()
    history = night.sequences.where(F.col("user_key").isNotNull())
    fitted = learn_intent(history, night.meta["users"], night.shelf, night.end)
    empty = no_rows(night.spark, "purchase_intent")
    predicted = predict_intent(history, fitted.model, night.folder, night.end, night.ds) if fitted.model else empty
    ids, sales = read_sales(purchases, night.catalog, window_until(night.ds, night.window[0]))
    demand = outlook(ids, sales, fitted.growth, night.ds)
    order = AudienceOrder(
        folder=night.folder,
        items=_most_purchased(night, purchases),
        rows=night.scoring.audience_k,
        bought_since=night.bought_since,
        block=night.scoring.block_users,
        model_version=night.version,
        ds=night.ds,
        excluded_types=night.policy.excluded_types,
    )
    tables = {
        "purchase_intent": _stage(night, "purchase_intent", predicted),
        "audiences": _stage(night, "audiences", find_audiences(night.users, order)),
        "demand_outlook": _write(night, "demand_outlook", demand.rows),
    }
    return Staged(tables, fitted.facts | demand.facts)


def stage_search(night: RunInputs) -> Staged:
    """Stage search_results and search_suggestions; both empty where nobody searched."""
    found = find_items(night.vectors, night.shelf, night.catalog)
    if not found.queries:
        return Staged(
            {name: StagedTable(days=[night.ds], files=[], rows=0) for name in ("search_results", "search_suggestions")}
        )
    path = found_file(night.folder)
    save_found(found, path)
    order = SearchOrder(night.folder, str(path), night.scoring.search_k, night.version, night.ds)
    queries = pq.read_table(night.vectors / "queries.parquet")
    everybody = _write(night, "search_results", everybodys_results(found, night.shelf, order))
    since = night.ds - timedelta(days=night.scoring.search_days - 1)
    askers = find_askers(night.events, found.queries, since)
    own = _stage(night, "search_results", own_results(askers, night.user_vectors, order).coalesce(night.files))
    both = StagedTable(days=[night.ds], files=everybody.files + own.files, rows=everybody.rows + own.rows)
    suggested = _write(night, "search_suggestions", suggestions(queries, night.ds))
    return Staged({"search_results": both, "search_suggestions": suggested}, {"queries": str(len(found.queries))})


def _stage(night: RunInputs, name: str, rows: DataFrame) -> StagedTable:
    return stage_table(night.lake, name, rows, [night.ds])


def _read_staged(night: RunInputs, name: str, staged: StagedTable) -> DataFrame:
    """Return the staged rows; where there are none, there is no file."""
    schema = spark_ddl(TABLES[name])
    return night.spark.read.schema(schema).parquet(*staged.files) if staged.files else no_rows(night.spark, name)


def _write(night: RunInputs, name: str, rows: pa.Table) -> StagedTable:
    """Stage rows that the driver holds: a Spark job would take longer than the rest of their making."""
    return StagedTable(days=[night.ds], files=night.lake.write_arrow(name, rows), rows=rows.num_rows)


def _without(night: RunInputs, items: DataFrame) -> DataFrame:
    """Return the items that may be shown."""
    if not night.excluded.items:
        return items
    # No list in the condition, each of whose items Python hands to Java: 50,000 took 49 s in place of 3.
    hidden = local_rows(night.spark, [(item_id,) for item_id in night.excluded.items], _HIDDEN)
    return items.join(F.broadcast(hidden), on="item_id", how="left_anti")


def _most_purchased(night: RunInputs, purchases: pa.Table) -> tuple[int, ...]:
    """Return the shelf's indices of the most purchased items that may be shown, then the others in their order."""
    places = night.shelf.indices(purchases["item_id"].combine_chunks())
    shown = (places >= 0) & (places < night.shelf.allowed)
    totals = np.zeros(night.shelf.allowed, np.int64)
    np.add.at(totals, places[shown], purchases["purchases"].to_numpy()[shown])
    order = np.argsort(-totals, kind="stable")
    return tuple(sorted(order[: night.scoring.audience_items].tolist()))


def _count_rank(staged: StagedTable, rank: int) -> int:
    ranks = (pq.read_table(file, columns=["rank"], partitioning=None)["rank"] for file in staged.files)
    return sum(pc.sum(pc.equal(column, rank)).as_py() or 0 for column in ranks)

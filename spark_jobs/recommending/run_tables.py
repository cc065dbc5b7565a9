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
from spark_jobs.recommending.build_profiles import cluster_users, profile_users
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


def stage_recommendations(inputs: RunInputs) -> Staged:
    """Stage the shelf of every known user with history."""
    order = Order(
        folder=inputs.folder,
        rows=inputs.scoring.top_k,
        bought_since=inputs.bought_since,
        block=inputs.scoring.block_users,
        model_version=inputs.version,
        ds=inputs.ds,
        rules=inputs.rules,
        excluded_types=inputs.policy.excluded_types,
    )
    # Matrix products over whole blocks: no Spark expression does this.
    rows = inputs.users.mapInArrow(recommender(order), spark_ddl(TABLES["recommendations"]))
    staged = _stage(inputs, "recommendations", rows)
    served, full = (_count_rank(staged, rank) for rank in (1, inputs.scoring.top_k))
    facts = {"shoppers_without_a_shelf": inputs.meta["users"] - served, "shoppers_with_a_shorter_shelf": served - full}
    return Staged({"recommendations": staged}, {name: str(count) for name, count in facts.items()})


def stage_profiles(inputs: RunInputs) -> Staged:
    """Stage user_profiles and, by their segments, fallback_recommendations."""
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
    """Stage what stands beside every item: similar_items and next_items."""
    wanted: dict[NeighborTable, int] = {"similar_items": inputs.scoring.similar_k, "next_items": inputs.scoring.next_k}
    return Staged({table: _stage_beside(inputs, table, rows) for table, rows in wanted.items()})


def _stage_beside(inputs: RunInputs, table: NeighborTable, rows: int) -> StagedTable:
    if not rows:
        return _stage(inputs, table, no_rows(inputs.spark, table))
    items, parallel = len(inputs.shelf.item_ids), inputs.spark.sparkContext.defaultParallelism
    order = NeighborOrder(table, inputs.folder, rows, inputs.scoring.block_users, inputs.version, inputs.ds)
    ids = inputs.spark.range(0, items, 1, min(parallel, items))
    return _stage(inputs, table, ids.mapInArrow(neighbor_finder(order), spark_ddl(TABLES[table])))


def stage_outlook(inputs: RunInputs) -> Staged:
    """Stage what needs the window's purchases: purchase_intent, demand_outlook and audiences."""
    purchases = daily_purchases(inputs.sequences, inputs.zone).toArrow()
    history = inputs.sequences.where(F.col("user_key").isNotNull())
    fitted = learn_intent(history, inputs.meta["users"], inputs.shelf, inputs.end)
    empty = no_rows(inputs.spark, "purchase_intent")
    predicted = predict_intent(history, fitted.model, inputs.folder, inputs.end, inputs.ds) if fitted.model else empty
    ids, sales = read_sales(purchases, inputs.catalog, window_until(inputs.ds, inputs.window[0]))
    demand = outlook(ids, sales, fitted.growth, inputs.ds)
    order = AudienceOrder(
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
        "audiences": _stage(inputs, "audiences", find_audiences(inputs.users, order)),
        "demand_outlook": _write(inputs, "demand_outlook", demand.rows),
    }
    return Staged(tables, fitted.facts | demand.facts)


def stage_search(inputs: RunInputs) -> Staged:
    """Stage search_results and search_suggestions; both empty where nobody searched."""
    found = find_items(inputs.vectors, inputs.shelf, inputs.catalog)
    if not found.queries:
        return Staged(
            {name: StagedTable(days=[inputs.ds], files=[], rows=0) for name in ("search_results", "search_suggestions")}
        )
    path = found_file(inputs.folder)
    save_found(found, path)
    order = SearchOrder(inputs.folder, str(path), inputs.scoring.search_k, inputs.version, inputs.ds)
    queries = pq.read_table(inputs.vectors / "queries.parquet")
    everybody = _write(inputs, "search_results", everybodys_results(found, inputs.shelf, order))
    since = inputs.ds - timedelta(days=inputs.scoring.search_days - 1)
    askers = find_askers(inputs.events, found.queries, since)
    own = _stage(inputs, "search_results", own_results(askers, inputs.user_vectors, order).coalesce(inputs.files))
    both = StagedTable(days=[inputs.ds], files=everybody.files + own.files, rows=everybody.rows + own.rows)
    suggested = _write(inputs, "search_suggestions", suggestions(queries, inputs.ds))
    return Staged({"search_results": both, "search_suggestions": suggested}, {"queries": str(len(found.queries))})


def _stage(inputs: RunInputs, name: str, rows: DataFrame) -> StagedTable:
    return stage_table(inputs.lake, name, rows, [inputs.ds])


def _read_staged(inputs: RunInputs, name: str, staged: StagedTable) -> DataFrame:
    """Return the staged rows; where there are none, there is no file."""
    schema = spark_ddl(TABLES[name])
    return inputs.spark.read.schema(schema).parquet(*staged.files) if staged.files else no_rows(inputs.spark, name)


def _write(inputs: RunInputs, name: str, rows: pa.Table) -> StagedTable:
    """Stage rows that the driver holds: a Spark job would take longer than the rest of their making."""
    return StagedTable(days=[inputs.ds], files=inputs.lake.write_arrow(name, rows), rows=rows.num_rows)


def _without(inputs: RunInputs, items: DataFrame) -> DataFrame:
    """Return the items that may be shown."""
    if not inputs.excluded.items:
        return items
    # No list in the condition, each of whose items Python hands to Java: 50,000 took 49 s in place of 3.
    hidden = local_rows(inputs.spark, [(item_id,) for item_id in inputs.excluded.items], _HIDDEN)
    return items.join(F.broadcast(hidden), on="item_id", how="left_anti")


def _most_purchased(inputs: RunInputs, purchases: pa.Table) -> tuple[int, ...]:
    """Return the shelf's indices of the most purchased items that may be shown, then the others in their order."""
    places = inputs.shelf.indices(purchases["item_id"].combine_chunks())
    shown = (places >= 0) & (places < inputs.shelf.allowed)
    totals = np.zeros(inputs.shelf.allowed, np.int64)
    np.add.at(totals, places[shown], purchases["purchases"].to_numpy()[shown])
    order = np.argsort(-totals, kind="stable")
    return tuple(sorted(order[: inputs.scoring.audience_items].tolist()))


def _count_rank(staged: StagedTable, rank: int) -> int:
    ranks = (pq.read_table(file, columns=["rank"], partitioning=None)["rank"] for file in staged.files)
    return sum(pc.sum(pc.equal(column, rank)).as_py() or 0 for column in ranks)

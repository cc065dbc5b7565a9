"""Writes the vectors of every user and every item of a night by the champion: what the recommend job multiplies.

python -m pipeline_tasks.registry.embed_items --source simulated_shop --date 2026-11-20
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_tasks.config.settings import Settings, settings
from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.data.run_data import read_night
from pipeline_tasks.device import prepare_torch
from pipeline_tasks.job_errors import job_errors
from pipeline_tasks.lake.atomic_write import write_atomically
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.source_lock import job_lock
from pipeline_tasks.lake.staging import night_folder
from pipeline_tasks.models.search.search_vectors import top_queries, write_search
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.progress_log import ProgressLog
from pipeline_tasks.registry.embed_users import usual_type, write_visitors
from pipeline_tasks.registry.registry import champion_version, load_version
from pipeline_tasks.registry.served_policy import REPEAT_POLICY, policy_of
from pipeline_tasks.run_key import RunKey, parsed_run_key, run_key_parser

_USERS_PER_FILE = 50_000


def embed_catalog(settings: Settings, night: RunKey) -> dict[str, Any]:
    """Write ``vectors/`` of the night's staging folder and return its meta.

    items.npy (items, d) float32 with item_ids.parquet in the same order, visitors.npy (see `write_visitors`),
    users/part-*.parquet, meta.json, and what `write_search` writes of the window's top queries. Users are embedded
    by their whole history up to the night, and item trends are those of the night: a night is fresh even where its
    champion is not. A user's score of an item is what `pair_scores` makes of the two vectors (the dot product,
    unless the model's matching is additive), and for own_items (indices into items.npy) as much more as own_scores
    says.

    Raises:
        ValueError: there is no champion, or the night has no sequences.
    """
    version = champion_version(settings, night)
    if version is None:
        raise ValueError(
            f"{night.source} has no champion in the registry: train and promote one first (nightshelf run)"
        )
    prepare_torch(settings.training.threads)
    data = read_night(Lake.open(settings, night.source), night)
    saved = load_version(settings, night.source, version)
    recommender = saved.for_catalog(data.catalog, data.log)
    folder = night_folder(settings, night) / "vectors"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    window = (data.split["window_start"], night.ds)
    queries = top_queries(Lake.open(settings, night.source), window, settings.scoring)
    write_search(folder, queries, saved, data.catalog, str(recommender.model.device))
    about: dict[str, Any] = {"model_version": f"{version.name}/{version.version}", "ds": night.ds.isoformat()}
    about |= {"snapshots": data.snapshots, REPEAT_POLICY: policy_of(saved.facts, data.log, settings.scoring).as_facts()}
    return write_vectors(folder, recommender, data.log, data.catalog.item_ids, about)


def write_vectors(
    folder: Path, recommender: TwoTowerRecommender, log: Interactions, item_ids: list[str], about: dict[str, Any]
) -> dict[str, Any]:
    """Write the vectors of `item_ids`, of the known users of `log` and of visitors, and meta.json: `about`, and how
    the vectors are to be read."""
    (folder / "users").mkdir(parents=True)
    recommender = recommender.prepared()
    items, users = recommender.item_matrix(), log.select(np.flatnonzero(log.known))
    progress = ProgressLog("vectors", len(users), "users embedded")
    for number, start in enumerate(range(0, len(users), _USERS_PER_FILE)):
        progress.at(start)
        part = users.select(np.arange(start, min(start + _USERS_PER_FILE, len(users))))
        _write_users(folder / "users" / f"part-{number:05d}.parquet", part, recommender)
    np.save(folder / "items.npy", items)
    write_visitors(folder / "visitors.npy", recommender, usual_type(log))
    pq.write_table(pa.table({"item_id": item_ids}), folder / "item_ids.parquet")
    meta = about | {"users": len(users)} | _shape(recommender, items)
    # Last: its presence says that the folder is complete.
    write_atomically(folder / "meta.json", json.dumps(meta, indent=1))
    return meta


def _shape(recommender: TwoTowerRecommender, items: Floats) -> dict[str, Any]:
    return {
        "dimension": items.shape[1],
        "items": len(items),
        # The first so many numbers say what an item is; the rest, how much it is in demand and with whom.
        "content_dimension": min(recommender.model.config.dimension, recommender.model.matching.width),
        "additive_weights": recommender.additive_weights.tolist(),
    }


def _write_users(path: Path, users: Interactions, recommender: TwoTowerRecommender) -> None:
    vectors, own = recommender.user_matrix(users), recommender.own_additions(users)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    starts = pa.array(own.indptr, pa.int32())
    columns = {
        "user_key": users.keys,
        "vector": flat.cast(pa.list_(pa.float32())),
        "own_items": pa.ListArray.from_arrays(starts, pa.array(own.indices, pa.int32())),
        "own_scores": pa.ListArray.from_arrays(starts, pa.array(own.data, pa.float32())),
    }
    pq.write_table(pa.table(columns), path)


def main() -> None:
    """Run from the command line."""
    night = parsed_run_key(run_key_parser(__doc__).parse_args())
    with job_lock(settings(), night.source, f"embed_shelf {night.ds}"):
        meta = embed_catalog(settings(), night)
    print(f"{meta['users']} users and {meta['items']} items embedded by {meta['model_version']}")


if __name__ == "__main__":
    with job_errors():
        main()

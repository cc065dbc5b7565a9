"""Public sets of sequences in time order without timestamps: the published leave-one-out split.

A history's last item is test, the one before it validation. An event's time is its place in its history, in
microseconds: an order, and no more.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.item_catalog import Row, make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.tables.contracts import CHOSEN_TYPES

_DAY = date(2026, 1, 1)


def read_amazon_beauty(shared_data: Path) -> RunData:
    """22,363 users, 12,101 items, 198,502 actions; items have titles, category paths and nameless attributes."""
    folder = shared_data / "amazon-beauty-5core"
    items = pd.read_csv(folder / "items.tsv", sep="\t", keep_default_na=False)
    columns = zip(items["item_id"], items["title"], items["categories"], items["attribute_ids"], strict=True)
    rows = [_row(number, ids, title=title, category=_path(categories)) for number, title, categories, ids in columns]
    return _run_data("amazon_beauty", _lines(folder / "sequences.txt"), rows)


def read_amazon_sports(shared_data: Path) -> RunData:
    """35,598 users, 18,357 items, 296,337 actions; no titles: items have nameless attributes alone."""
    folder = shared_data / "amazon-sports-5core"
    items = pd.read_csv(folder / "items.tsv", sep="\t", keep_default_na=False)
    rows = [_row(number, ids) for number, ids in zip(items["item_id"], items["attribute_ids"], strict=True)]
    return _run_data("amazon_sports", _lines(folder / "sequences.txt"), rows)


def read_ml_1m(shared_data: Path) -> RunData:
    """6,040 users, 3,416 films, 999,611 actions; films and viewers are described as the preset `movielens` does it."""
    folder = shared_data / "ml-1m"
    rows = pd.read_parquet(folder / "sequences_sasrec_order.parquet").sort_values(["user_id", "pos"], kind="stable")
    described = [_film(*line) for line in _fields(folder / "movies.dat")]
    histories = {int(str(user)): list(films) for user, films in rows.groupby("user_id")["movie_id"]}
    viewers = {
        number: json.dumps({"age": age, "gender": gender, "occupation": occupation})
        for number, gender, age, occupation, _ in _fields(folder / "users.dat")
    }
    return _run_data("ml_1m", histories, described, viewers)


def _fields(path: Path) -> list[list[str]]:
    return [line.split("::") for line in path.read_text(encoding="latin-1").splitlines()]


def _film(number: str, title: str, genres: str) -> Row:
    each = genres.split("|")
    return {"item_id": number, "title": title, "category": each[0], "attributes": json.dumps({"genres": each})}


def _lines(path: Path) -> dict[int, list[int]]:
    rows = [[int(word) for word in line.split()] for line in path.read_text().splitlines()]
    return {row[0]: row[1:] for row in rows}


def _path(categories: str) -> str:
    return " > ".join(dict.fromkeys(name for path in json.loads(categories) for name in path))


def _row(number: object, attribute_ids: str, **columns: str) -> Row:
    """Return a row of the table `items` as the presets make it."""
    return {"item_id": str(number), "attributes": json.dumps({"attributes": attribute_ids.split()}), **columns}


def _run_data(
    name: str, histories: dict[int, list[int]], rows: Sequence[Row], users: Mapping[str, str] | None = None
) -> RunData:
    lengths = np.array([len(history) for history in histories.values()])
    numbers, items = np.unique(np.concatenate(list(histories.values())), return_inverse=True)
    known = set(map(str, numbers))
    catalog = make_catalog([row for row in rows if row["item_id"] in known], list(known))
    # The catalog is in the order of the ids' text, 10 before 2.
    items = np.searchsorted(np.array(catalog.item_ids), numbers.astype(str))[items]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    log = Interactions(
        [str(key) for key in histories],
        np.ones(len(histories), dtype=bool),
        offsets,
        items.astype(np.int64),
        np.full(len(items), CHOSEN_TYPES.index("rating"), dtype=np.int64),
        np.arange(len(items), dtype=np.int64) - np.repeat(offsets[:-1], lengths),
    )
    log = log.described(users or {})
    return RunData(RunKey(name, _DAY), catalog, log, {}, {"split_id": "published", "strategy": "leave_one_out"})

"""Audiences without Spark: the function that each partition runs, on stored offered items."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline_tasks.recommend.excluded_items import OPT_OUTS, Excluded
from pipeline_tasks.recommend.prepare_offered_items import prepare_offered_items
from pipeline_tasks.topk.arrays import Vectors
from spark_jobs.recommending import find_audiences
from spark_jobs.recommending.find_audiences import AudienceRequest, _finder
from tests.spark_jobs.small_run import ITEMS, RUN_KEY, SEGMENTS, item, item_vectors, micros, user_vectors, write_vectors

SINCE = micros(15)


def order(folder: str, rows: int = 2, block: int = 3) -> AudienceRequest:
    return AudienceRequest(folder, (0, 1, 2), rows, SINCE, block, "m/1", RUN_KEY.ds)


def batch(
    users: list[str],
    bought: dict[str, list[str]],
    own: dict[str, dict[int, float]] | None = None,
    vectors: dict[str, Vectors] | None = None,
) -> pa.RecordBatch:
    items = [bought.get(user, []) for user in users]
    added = [(own or {}).get(user, {}) for user in users]
    columns = {
        "user_key": users,
        "vector": pa.array([(vectors or user_vectors())[user].tolist() for user in users], pa.list_(pa.float32())),
        "own_items": pa.array([list(each) for each in added], pa.list_(pa.int32())),
        "own_scores": pa.array([list(each.values()) for each in added], pa.list_(pa.float32())),
        "item_ids": pa.array(items, pa.list_(pa.string())),
        "event_types": pa.array([["purchase"] * len(own) for own in items], pa.list_(pa.string())),
        "timestamps": pa.array([[micros(19)] * len(own) for own in items], pa.list_(pa.int64())),
    }
    return pa.RecordBatch.from_pydict(columns)


def recommendations_of(
    vectors: Path,
    opted: Sequence[tuple[str, str | None]],
    hidden: tuple[str, ...] = (),
    additive: tuple[float, ...] = (),
) -> str:
    write_vectors(vectors, user_vectors(), item_vectors(), additive=additive)
    rows = [{"brand": None, "ds": date(2026, 11, 20)} | item(name, number) for number, name in enumerate(ITEMS)]
    opt_outs = pa.Table.from_pylist([dict(zip(OPT_OUTS.names, pair, strict=True)) for pair in opted], schema=OPT_OUTS)
    excluded = Excluded(dict.fromkeys(hidden, "blocked"), opt_outs)
    return prepare_offered_items(vectors, pa.Table.from_pylist(rows), excluded, set())[0]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return recommendations_of(tmp_path / "vectors", [("eve", None), ("dan", "i02")])


def found(folder: str, batches: list[pa.RecordBatch], **more: int) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """Return target -> list of (user, score), the best first."""
    rows: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for part in _finder(order(folder, **more))(iter(batches)):
        for row in part.to_pylist():
            rows.setdefault((row["target_type"], row["target"]), []).append((row["user_key"], row["score"]))
    return rows


def log_shares(user: str) -> np.ndarray:
    scores = item_vectors().astype(np.float64) @ user_vectors()[user].astype(np.float64)
    return np.asarray(scores - np.log(np.exp(scores).sum()))


def test_best_users_are_ranked_by_the_items_softmax_share(folder: str) -> None:
    users = sorted(SEGMENTS)
    rows = found(folder, [batch(users, {"ann": ["i01"]})])
    for place, name in enumerate(ITEMS[:3]):
        shares = {user: log_shares(user)[place] for user in users if user != "eve"}
        left = {("ann", "i01"), ("dan", "i02")}
        best = sorted((u for u in shares if (u, name) not in left), key=lambda user: -shares[user])[:2]
        assert [user for user, _ in rows["item", name]] == best
        assert [score for _, score in rows["item", name]] == pytest.approx([shares[u] for u in best], abs=1e-4)


def test_a_category_is_the_mean_of_its_items(folder: str) -> None:
    rows = found(folder, [batch(sorted(SEGMENTS), {})])
    means = {user: log_shares(user)[[0, 3, 6]].mean() for user in SEGMENTS if user != "eve"}
    best = sorted(means, key=lambda user: -means[user])[:2]
    assert [user for user, _ in rows["category", "Kitchen > C0"]] == best
    assert {target for kind, target in rows if kind == "category"} == {"Kitchen > C0", "Kitchen > C1", "Kitchen > C2"}


def test_users_without_an_allowed_item_of_a_category_are_not_in_its_audience(tmp_path: Path) -> None:
    # C1 is i01, i04 and i07, which are shown to no user. bob did not want one and bought the other, twice.
    wanted = [("dan", "i01"), ("dan", "i04"), ("bob", "i04"), ("ann", "i01"), ("eve", "i00"), ("eve", "i03")]
    folder = recommendations_of(tmp_path / "vectors", wanted, hidden=("i07",))
    rows = found(folder, [batch(sorted(SEGMENTS), {"bob": ["i01", "i01"], "cleo": ["i01", "i07"]})], rows=9)
    shown = {target: {user for user, _ in users} for (kind, target), users in rows.items() if kind == "category"}
    assert shown == {
        "Kitchen > C0": set(SEGMENTS),
        "Kitchen > C1": {"ann", "cleo", "eve"},
        "Kitchen > C2": set(SEGMENTS),
    }


def test_users_with_an_excluded_event_are_not_in_the_items_audience(folder: str) -> None:
    """Events of any age exclude the item; `bought_since` limits purchases alone."""
    own = batch(["ann", "bob"], {"ann": ["i01"], "bob": ["i00"]})
    long_ago = own.set_column(6, "timestamps", pa.array([[micros(1)], [micros(1)]], pa.list_(pa.int64())))
    find = _finder(replace(order(folder), excluded_types=("rating",)))
    for kind, excluded in (("purchase", False), ("rating", True), ("view", False)):
        kinds = pa.array([[kind], [kind]], pa.list_(pa.string()))
        parts = find(iter([long_ago.set_column(5, "event_types", kinds)]))
        rows = [row for part in parts for row in part.to_pylist()]
        pairs = {(row["user_key"], row["target"]) for row in rows}
        assert (("ann", "i01") not in pairs) is excluded
        assert (("bob", "i00") not in pairs) is excluded
        assert {("ann", "i00"), ("bob", "i01")} < pairs


def scores_of(user: Vectors, items: np.ndarray, additive: tuple[float, ...]) -> np.ndarray:
    """Return the score of each item, computed from the definition of additive scoring."""
    width, vector = len(additive), user.astype(np.float64)
    hidden = np.tanh(vector[:width] + items[:, :width]) @ np.array(additive)
    return np.asarray(hidden + items[:, width:] @ vector[width:])


@pytest.mark.parametrize("additive", [(), (1.5, -2.0, 0.5)])
def test_repeat_scores_count_as_in_the_recommendations(tmp_path: Path, additive: tuple[float, ...]) -> None:
    rng, users = np.random.default_rng(3), [f"u{number:02d}" for number in range(40)]
    vectors = {user: rng.standard_normal(5).astype(np.float32) for user in users}
    own = {user: {int(i): float(rng.integers(-9, 9)) / 2 for i in rng.integers(0, 12, 6)} for user in users[:30]}
    bought = {user: [f"i{rng.integers(0, 3):02d}"] for user in users[::4]}
    # i04 is shown to no user, whatever is added for it.
    folder = recommendations_of(tmp_path / "vectors", [("u01", "i00")], ("i04",), additive)
    rows = found(folder, [batch(users, bought, own, vectors)], rows=7)
    items = item_vectors().astype(np.float64)
    categories = {"Kitchen > C0": [0, 3, 6], "Kitchen > C1": [1, 7], "Kitchen > C2": [2, 5, 8]}
    expected: dict[tuple[str, str], dict[str, float]] = {}
    for user in users:
        added = np.array([own.get(user, {}).get(place, 0.0) for place in range(12)])
        scores = scores_of(vectors[user], items, additive) + added
        total = np.log(np.exp(np.delete(scores, 4)).sum())
        for place, name in enumerate(ITEMS[:3]):
            if name not in bought.get(user, []) and (user, name) != ("u01", "i00"):
                expected.setdefault(("item", name), {})[user] = scores[place] - total
        for name, places in categories.items():
            mean = scores_of(vectors[user], items[places].mean(axis=0, keepdims=True), additive)[0]
            expected.setdefault(("category", name), {})[user] = mean + added[places].mean() - total
    for target, shares in expected.items():
        best = sorted(shares, key=lambda user: -shares[user])[:7]
        assert [user for user, _ in rows[target]] == best
        assert [score for _, score in rows[target]] == pytest.approx([shares[user] for user in best], abs=1e-4)
    assert set(rows) == set(expected)


def test_in_a_large_catalog_repeat_items_count_once_and_others_by_sample(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find_audiences, "_NORMALIZED_OVER", 4)
    own = {"ann": {3: 2.0, 4: 1.0}}
    rows = found(folder, [batch(["ann"], {}, own)])
    scores = item_vectors().astype(np.float64) @ user_vectors()["ann"].astype(np.float64)
    # Of i00, i03, i06 and i09 each stands for three, but i03 is an own item, and stands for itself as i04 does.
    total = np.log((3 * np.exp(scores[[0, 6, 9]]).sum() + np.exp(scores[3] + 2) + np.exp(scores[4] + 1)) / 3)
    assert [score for _, score in rows["item", "i00"]] == pytest.approx([scores[0] - total], abs=1e-4)


@pytest.mark.parametrize("together", [1, 2, 8])
def test_batches_and_blocks_change_nothing(folder: str, monkeypatch: pytest.MonkeyPatch, together: int) -> None:
    monkeypatch.setattr(find_audiences, "_BATCHES", together)
    users, own = sorted(SEGMENTS), {"ann": {0: 1.0, 3: 0.5}, "cleo": {0: -1.0}, "dan": {2: 9.0}}
    whole = found(folder, [batch(users, {}, own)])
    parts = [batch([user], {}, own) for user in users]
    assert found(folder, parts, block=1) == whole


def test_no_user_gives_no_row(folder: str) -> None:
    assert found(folder, [batch(["eve"], {})]) == {}

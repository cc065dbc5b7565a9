from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pipeline_tasks.topk import top_k
from pipeline_tasks.topk.arrays import Part
from pipeline_tasks.topk.first_pass import multiplies_bytes
from pipeline_tasks.topk.top_k import REPAID, SMALL_CALL, Tally, explain_first_pass, takes_fast_pass


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Tally:
    """Start the tally at zero, as in a new process."""
    tally = Tally()
    monkeypatch.setattr(top_k, "TALLY", tally)
    return tally


def test_batches_of_a_run_add_up() -> None:
    """A batch of 2,048 users and 10,000 items has a twentieth of the pairs that repay the fast pass."""
    batches = -(-REPAID // (2_048 * 10_000))
    chosen = [takes_fast_pass(2_048, 10_000) for _ in range(batches + 3)]
    assert chosen == [False] * (batches - 1) + [True] * 4


def test_a_small_call_stays_dense_and_counts(fresh: Tally) -> None:
    fresh.pairs = REPAID
    assert not takes_fast_pass(1, SMALL_CALL - 1)
    assert takes_fast_pass(1, SMALL_CALL)
    assert fresh.pairs == REPAID + 2 * SMALL_CALL - 1


def test_the_first_pass_is_explained() -> None:
    rng = np.random.default_rng(3)
    users, items = (rng.standard_normal((count, 24), dtype=np.float32) for count in (100, 5_000))
    assert explain_first_pass(users, items, 7, REPAID - 1).startswith("float32: 399,999,999 pairs of users and items")
    found = explain_first_pass(users, items, 7, REPAID)
    kind = "int8: int8 leaves too many candidates for " if multiplies_bytes() else "float32: this processor"
    assert found.startswith(kind)
    # Every user finds more equal scores than there is room for.
    equal = explain_first_pass(users, np.ones((5_000, 24), np.float32), 7, REPAID)
    kind = "float32: int8 leaves too many candidates for 100%" if multiplies_bytes() else "float32: this processor"
    assert equal.startswith(kind)


def test_the_change_of_pass_changes_no_number(fresh: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    users = rng.standard_normal((600, 24), dtype=np.float32)
    items = rng.standard_normal((2_000, 24), dtype=np.float32)
    taken: list[str] = []
    for name in ("_parts", "_fast_parts"):
        monkeypatch.setattr(top_k, name, _noted(getattr(top_k, name), name, taken))
    fresh.pairs = REPAID - 2 * len(users) * len(items)
    before, after = (top_k.top_k(users, items, 7) for _ in range(2))
    assert taken == ["_parts", "_fast_parts"]
    assert np.array_equal(before.items, after.items)
    assert np.array_equal(before.scores, after.scores)


def _noted(parts: Callable[..., Iterator[Part]], name: str, taken: list[str]) -> Callable[..., Iterator[Part]]:
    def run(*given: object) -> Iterator[Part]:
        taken.append(name)
        return parts(*given)

    return run

import numpy as np

from pipeline_tasks.behavior.split_parts import split_parts
from pipeline_tasks.evaluation.ranking_task import build_tasks
from pipeline_tasks.evaluation.shopper_segments import activity_bands, given_segments, history_bands
from tests.pipeline_tasks.logs import DAY, log_of

LOG = log_of({"a": [(0, 1)], "b": [(0, 1), (1, 70)], "c": [(0, day) for day in range(64, 90)], "d": []})


def test_bands_of_history_and_activity() -> None:
    assert history_bands(LOG).tolist() == ["1", "2 to 4", "25 and more", "0 none"]
    assert activity_bands(LOG, 90 * DAY).tolist() == ["earlier", "last 30 days", "last 7 days", "never"]


def test_a_shopper_without_a_label_is_unknown() -> None:
    assert given_segments(["x", "y"], {"y": "gold"}).tolist() == ["unknown", "gold"]


def test_tasks_carry_labels_of_those_asked() -> None:
    log = log_of({"a": [(i, i) for i in range(5)], "b": [(i, i) for i in range(30)]})
    parts = split_parts(log, {"strategy": "per_user"})
    discovery, repeats = build_tasks(parts, "test", ("discovery", "repeats"), 30, None, {"tier": {"a": "gold"}})
    assert discovery.known is repeats.known
    assert discovery.segments["tier"].tolist() == ["gold", "unknown"]
    assert discovery.segments["history"].tolist() == ["2 to 4", "10 to 24"]
    assert np.array_equal(repeats.segments["activity"], ["last 30 days", "last 7 days"])

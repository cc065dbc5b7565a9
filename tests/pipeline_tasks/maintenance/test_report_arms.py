"""The A/B report over events in a real lake, kept in a real MLflow store."""

from typing import Any

import mlflow
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.maintenance.report_arms import arm_events, report_arms
from pipeline_tasks.registry.registry import client
from pipeline_tasks.run_key import RunKey
from tests.pipeline_tasks.maintenance.arms_trial import HORIZON, event, log_events, log_trial
from tests.pipeline_tasks.maintenance.published_shop import SOURCE, THIRD

RUN_KEY = RunKey(SOURCE, THIRD)


def found(settings: Settings, days: int = 5) -> dict[str, tuple[Any, ...]]:
    rows = arm_events(Lake.open(settings, SOURCE), THIRD, days, HORIZON).to_pylist()
    return {row["user_key"]: tuple(row.values())[1:] for row in rows}


def test_events_that_count_for_an_impression(settings: Settings) -> None:
    day = 24 * 60
    rows = [
        *(event("ann", "impression", minutes, item, "a") for minutes, item in ((0, "i1"), (0, "i2"), (90, "i1"))),
        event("ann", "click", 30, "i1"),
        event("ann", "view", 31, "i2"),
        event("ann", "purchase", HORIZON * day, "i1"),
        event("bob", "impression", 0, "i1", "b"),
        event("bob", "purchase", HORIZON * day + 1, "i1"),
        event("bob", "click", -1, "i1"),
        event("cat", "click", 1, "i1"),
        event("cat", "impression", day, "i1", "b"),
        event(None, "impression", 0, "i1", "a"),
        event("dan", "impression", 0, "i1"),
    ]
    log_events(settings, rows)
    assert found(settings) == {"ann": ("a", 1, 3, 1, 2), "bob": ("b", 1, 1, 0, 0)}


def test_days_before_the_report_are_left_out(settings: Settings) -> None:
    log_events(settings, [event("ann", "impression", 0, arm="a"), event("bob", "impression", -24 * 60, arm="a")])
    assert set(found(settings, days=1)) == {"ann"}
    assert set(found(settings, days=2)) == {"ann", "bob"}


@pytest.fixture
def trial(settings: Settings) -> Settings:
    log_trial(settings)
    return settings


def test_the_better_arm_is_found_and_the_report_is_in_mlflow(trial: Settings) -> None:
    client(trial).create_experiment(f"nightshelf/{SOURCE}", artifact_location=f"file://{trial.home}/artifacts")
    report = report_arms(trial, RUN_KEY, 5, HORIZON)
    assert report.arms["arm"].tolist() == ["control", "explorer"]
    assert report.arms["users"].tolist() == [100, 100]
    assert report.left_out == 1
    for row, expected in zip(report.arms.to_dict("records"), (0.2, 0.4), strict=True):
        assert row["click_rate_low"] < row["click_rate"] < row["click_rate_high"]
        assert row["click_rate"] == pytest.approx(expected, abs=0.05)
    clicks, purchases = report.differences.to_dict("records")
    assert (clicks["of"], clicks["less"]) == ("explorer", "control")
    assert clicks["low"] > 0.1
    assert clicks["p"] < 0.001
    assert purchases["low"] < 0 < purchases["high"]
    experiment = client(trial).get_experiment_by_name(f"nightshelf/{SOURCE}")
    assert experiment is not None
    [run] = client(trial).search_runs([experiment.experiment_id])
    assert run.data.metrics["explorer.click_rate"] == pytest.approx(report.arms["click_rate"][1])
    assert run.data.tags["snapshot.events"] == str(Lake.open(trial, SOURCE).snapshot_id("events"))
    text = mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/arms/report.txt")
    assert text == report.text()
    assert "1 users were shown more than one arm" in text


def test_a_log_without_arms_is_an_error_with_the_remedy(settings: Settings) -> None:
    log_events(settings, [event("ann", "impression", 0)])
    with pytest.raises(ValueError, match=r"shop has no impression with an arm .*map events\.arm"):
        report_arms(settings, RUN_KEY, 5, HORIZON)


def test_an_arm_of_one_user_is_refused(settings: Settings) -> None:
    log_events(settings, [event("ann", "impression", 0, arm="a")])
    with pytest.raises(ValueError, match="arm a has fewer than 2 users of its own"):
        report_arms(settings, RUN_KEY, 5, HORIZON)

import time

import pytest

from pipeline_tasks.progress_log import ProgressLog


def test_a_short_loop_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = ProgressLog("epoch 1", 3, "steps")
    for step in range(3):
        progress.at(step + 1)
    assert capsys.readouterr().out == ""


def test_a_long_loop_prints_a_line_per_interval(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(range(0, 100, 20))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    progress = ProgressLog("epoch 1", 4_000, "steps")
    for step in range(1_000, 4_001, 1_000):
        progress.at(step, lambda: ", loss 9.5")
    assert capsys.readouterr().out == (
        "epoch 1: 2,000 of 4,000 steps, loss 9.5\nepoch 1: 4,000 of 4,000 steps, loss 9.5\n"
    )

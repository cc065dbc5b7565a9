"""When a window differs from the champion's; test_fine_tuning_run uses a real registry."""

import pytest

from pipeline_tasks.registry.retraining import is_other_window


@pytest.mark.parametrize(
    ("days", "window", "same_start", "due"),
    [
        (30, 30, False, False),
        (30, 60, False, True),
        (60, 30, False, True),
        # The window of a whole log grows every day.
        (30, 60, True, False),
        # The latest 20 million records cover some days more or fewer in every run.
        (200, 203, False, False),
        (200, 240, False, True),
    ],
)
def test_another_window_is_another_choice(days: int, window: int, same_start: bool, due: bool) -> None:
    assert is_other_window(days, window, same_start) is due

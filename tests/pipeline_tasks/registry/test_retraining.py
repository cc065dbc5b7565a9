"""Which windows count as the champion's own; test_fine_tuning_night asks a real registry."""

import pytest

from pipeline_tasks.registry.retraining import differ


@pytest.mark.parametrize(
    ("days", "window", "same_start", "due"),
    [
        (30, 30, False, False),
        (30, 60, False, True),
        (60, 30, False, True),
        # A whole log grows by the night, whatever its length was.
        (30, 60, True, False),
        # The latest 20 million records are some days more or fewer every night.
        (200, 203, False, False),
        (200, 240, False, True),
    ],
)
def test_another_window_is_another_choice(days: int, window: int, same_start: bool, due: bool) -> None:
    assert differ(days, window, same_start) is due

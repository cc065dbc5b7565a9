from itertools import pairwise

import pytest

from pipeline_tasks.training.fit_options import Schedule
from pipeline_tasks.training.training_optimizer import rate_share


@pytest.mark.parametrize("schedule", ["cosine", "late"])
def test_a_rate_warms_up_and_ends_at_nothing(schedule: Schedule) -> None:
    shares = [rate_share(schedule, step, 2_000) for step in range(2_001)]
    assert shares[:100] == pytest.approx([(step + 1) / 100 for step in range(100)])
    assert max(shares) == 1.0
    assert shares[-1] == pytest.approx(0, abs=1e-9)
    assert all(later <= earlier for earlier, later in pairwise(shares[100:]))


def test_late_stays_where_cosine_has_fallen() -> None:
    assert rate_share("late", 1_000, 2_000) == 1.0
    assert rate_share("cosine", 1_000, 2_000) < 0.55
    assert rate_share("late", 1_525, 2_000) == pytest.approx(0.5)

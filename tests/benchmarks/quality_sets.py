"""The public sets that quality is measured on, each with what was published on the same copy in the same protocol.

Of the public data, the sample of REES46 is three hours of one day and retrotech a catalog without events: neither can
be split into parts in a meaningful order, so only tests read them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.evaluation.ranking_task import Goal
from tests.benchmarks.complete_journey import read_complete_journey
from tests.benchmarks.online_retail import read_online_retail
from tests.benchmarks.online_retail_visits import read_online_retail_visits
from tests.benchmarks.sequence_sets import read_amazon_beauty, read_amazon_sports, read_ml_1m


@dataclass(frozen=True)
class QualitySet:
    """A set and the questions asked of it."""

    read: Callable[[Path], RunData]
    goals: tuple[Goal, ...]
    published: tuple[tuple[str, float], ...] = ()
    """Model and its NDCG@10 on test."""


SETS = {
    "online_retail": QualitySet(read_online_retail, ("discovery", "repeats")),
    "online_retail_visits": QualitySet(read_online_retail_visits, ("discovery",)),
    "completejourney": QualitySet(read_complete_journey, ("discovery", "repeats")),
    "amazon_beauty": QualitySet(
        read_amazon_beauty,
        ("discovery",),
        (("BSARec (published)", 0.0610), ("SASRec, sampled softmax (published)", 0.0531)),
    ),
    "amazon_sports": QualitySet(
        read_amazon_sports,
        ("discovery",),
        (("BSARec (published)", 0.0348), ("SASRec, sampled softmax (published)", 0.0314)),
    ),
    "ml_1m": QualitySet(
        read_ml_1m, ("discovery",), (("HSTU-large (published)", 0.1893), ("eSASRec (published)", 0.1772))
    ),
}

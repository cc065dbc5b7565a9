"""Stage 2 on a GPU: how soon the two-tower model of Amazon Beauty is good, and how good it becomes.

Every model that validation prefers is evaluated on test, with the clock stopped. Test chooses nothing: it only shows
when the model reached the wanted NDCG@10.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Final

import pandas as pd

from pipeline_tasks.candidates.candidate_training import DEFAULT_SCORING
from pipeline_tasks.candidates.encoded_catalog import encode_catalog
from pipeline_tasks.candidates.stage_two import stage_two_of
from pipeline_tasks.candidates.validation_tasks import validation_tasks
from pipeline_tasks.config.settings import settings
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.training.best_epoch import METRIC, BestEpoch
from tests.benchmarks.gpu_device import Report, Sizes, SkippedError
from tests.benchmarks.sequence_sets import read_amazon_beauty
from tests.pipeline_tasks.logs import random_log

WANTED: Final = 0.066


def measure_stage_two(sizes: Sizes, report: Report) -> None:
    """Report the seconds until NDCG@10 on test is at least `WANTED`, and the best epoch's NDCG@10 and its seconds.

    The seconds hold all of a training as shipped, from the encoding of titles on: choices, epochs and validation.

    Raises:
        SkippedError: Amazon Beauty is not there.
    """
    with tempfile.TemporaryDirectory() as work:
        shared_data = sizes.shared_data or _write_toy(Path(work))
        if not (shared_data / "amazon-beauty-5core").is_dir():
            raise SkippedError(f"{shared_data / 'amazon-beauty-5core'} is missing: put Amazon Beauty there")
        _train(read_amazon_beauty(shared_data), sizes, Path(work), report)


def _train(data: RunData, sizes: Sizes, work: Path, report: Report) -> None:
    watch, device = Watch(data, report), sizes.device.partition(":")[0]
    training = settings().training.model_copy(update={"seed": 1} | ({} if sizes.shared_data else {"epochs": 2}))
    log, tasks = data.parts.known_before("validation"), validation_tasks(data, training.seed, DEFAULT_SCORING)
    encoded = encode_catalog(data, log, "frozen", training, work=work, device=device, on_metrics=_ignore)
    inputs = stage_two_of(data, log, encoded, training, device)
    trainer = inputs.trainer(inputs.choose_options(tasks.discovery, training))
    best = BestEpoch(tasks.discovery, _ignore)

    def after(epoch: int, loss: float) -> bool:
        improving = best.after(loss, trainer.recommender)
        if best.epoch == epoch:
            watch.look(epoch, best.recommender())
        return improving

    trainer.fit(after)
    facts = {"seconds": watch.seconds, "epoch": best.epoch, "validation": best.ndcg, "epochs": len(best.history)}
    report({"what": "test, best epoch on validation", "figure": watch.ndcg, "unit": METRIC} | facts)


def _ignore(metrics: dict[str, float], step: int) -> None:
    """Take the metrics of an epoch."""


class Watch:
    """Evaluates models on test while its clock is stopped, and reports when one is as good as wanted."""

    def __init__(self, data: RunData, report: Report) -> None:
        self.known = data.parts.known_before("test")
        self.task = build_task(data.parts, "test", "discovery", len(data.catalog))
        self.report, self.started = report, time.perf_counter()
        self.paused, self.reached = 0.0, False
        self.ndcg, self.seconds = 0.0, 0.0

    def look(self, epoch: int, recommender: TwoTowerRecommender) -> None:
        """Evaluate the best model so far."""
        stopped = time.perf_counter()
        self.seconds = stopped - self.started - self.paused
        self.ndcg = float(evaluate(recommender.at(self.known), self.task).overall[METRIC])
        if self.ndcg >= WANTED and not self.reached:
            self.reached = True
            what = f"until {METRIC} on test is {WANTED}"
            self.report({"what": what, "figure": self.seconds, "unit": "seconds", "epoch": epoch})
        self.paused += time.perf_counter() - stopped


def _write_toy(folder: Path) -> Path:
    """Write a small log in the files of Amazon Beauty, and return the folder."""
    log, own = random_log(80, 40, seed=1), folder / "amazon-beauty-5core"
    own.mkdir()
    histories = [log.items[start:end].tolist() for start, end in zip(log.offsets, log.offsets[1:], strict=False)]
    lines = [" ".join(map(str, (user, *items))) for user, items in enumerate(histories)]
    (own / "sequences.txt").write_text("\n".join(lines))
    numbers = range(40)
    items = {
        "item_id": numbers,
        "title": [f"Nail polish {number}" for number in numbers],
        "categories": [json.dumps([["Beauty", f"Shelf {number % 4}"]]) for number in numbers],
        "attribute_ids": [f"{number % 3} {number % 5}" for number in numbers],
    }
    pd.DataFrame(items).to_csv(own / "items.tsv", sep="\t", index=False)
    return folder

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.data.split_parts import split_parts
from pipeline_tasks.errors import TrainingError
from pipeline_tasks.evaluation.full_ranking import evaluate
from pipeline_tasks.evaluation.leak_probes import refuse_lookup
from pipeline_tasks.evaluation.ranking_task import build_task
from pipeline_tasks.models.peers.peer_sasrec import Sasrec, SasrecOptions, SasrecScorer, fit_sasrec, paper_options
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from tests.pipeline_tasks.logs import log_of
from tests.pipeline_tasks.models.peers.test_peers import ITEMS, TASK, beats_chance

pytestmark = pytest.mark.training

SMALL = SasrecOptions(epochs=6, dimension=32, dropout=0.1, max_length=20, learning_rate=1e-2)


@pytest.fixture(scope="module")
def fitted() -> SasrecScorer:
    return fit_sasrec(TASK.known, ITEMS, SMALL)


def test_it_beats_chance_repeats_itself_and_scores_by_the_history(fitted: SasrecScorer) -> None:
    assert beats_chance(fitted)
    again = fit_sasrec(TASK.known, ITEMS, SMALL)
    np.testing.assert_array_equal(again.scores(TASK.histories), fitted.scores(TASK.histories))
    refuse_lookup(fitted, TASK)
    assert not fitted.scores(log_of({"new": []})).any()


def test_the_order_of_the_last_items_counts_and_what_is_older_than_the_window_does_not(fitted: SasrecScorer) -> None:
    long = [(item % ITEMS, day) for day, item in enumerate(range(40))]
    swapped = [*long[:-2], long[-1], long[-2]]
    histories = log_of({"a": long, "b": long[-SMALL.max_length :], "c": swapped})
    scores = fitted.scores(histories)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    assert np.abs(scores[0] - scores[2]).max() > 0.1


def test_no_state_sees_a_later_item_or_the_padding() -> None:
    torch.manual_seed(3)
    network = Sasrec(ITEMS, SMALL).train(False)
    windows = torch.tensor([[5, 6, 7, 8, -1, -1], [5, 6, 9, 8, -1, -1]])
    states = network(windows)
    torch.testing.assert_close(states[0, :2], states[1, :2])
    assert not torch.allclose(states[0, 2:4], states[1, 2:4])
    torch.testing.assert_close(network(windows[:, :4])[:, 3], states[:, 3])


def test_a_listener_ends_the_training() -> None:
    called_epochs: list[int] = []

    def on_metrics(epoch: int, loss: float, scorer: SasrecScorer) -> bool:
        assert np.isfinite(scorer.scores(TASK.histories)).all()
        called_epochs.append(epoch)
        return epoch < 2

    fit_sasrec(TASK.known, ITEMS, SMALL, on_metrics)
    assert called_epochs == [1, 2]


def test_the_papers_settings_follow_the_density_of_the_log() -> None:
    sparse, dense = (log_of({"a": [(item, item) for item in range(length)]}) for length in (9, 165))
    assert (paper_options(sparse).dropout, paper_options(sparse).max_length) == (0.5, 50)
    assert (paper_options(dense).dropout, paper_options(dense).max_length) == (0.2, 200)


def test_a_log_without_training_examples_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no history of two events or more"):
        fit_sasrec(log_of({"a": [(1, 1)]}), ITEMS, SMALL)


@pytest.mark.real_data
def test_one_epoch_of_amazon_beauty(shared_data: Path) -> None:
    log, n_items = read_beauty(shared_data)
    assert (len(log), n_items) == (22_363, 12_101)
    # A tenth of the users: the whole takes minutes of two busy cores.
    some = log.select(np.arange(0, len(log), 10))
    task = build_task(split_parts(some, {"strategy": "leave_one_out"}), "test", "discovery", n_items)
    options = SasrecOptions(epochs=1, dimension=64, batch_positions=512, learning_rate=3e-3)
    ours = evaluate(fit_sasrec(task.known, n_items, options), task).overall["ndcg@10"]
    # Of an item at a random place: the sum of the ten discounts over the catalog.
    assert ours > 5 * (1 / np.log2(np.arange(2, 12))).sum() / n_items


def read_beauty(shared_data: Path) -> tuple[Interactions, int]:
    """Return the log, its order for want of times in days, and how many items there are; items count from 1."""
    lines = (shared_data / "amazon-beauty-5core" / "sequences.txt").read_text().splitlines()
    rows = [np.array(line.split()[1:], dtype=np.int64) - 1 for line in lines]
    items = np.concatenate(rows)
    lengths = np.array([len(row) for row in rows])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
    purchase = np.full(len(items), CHOSEN_TYPES.index("purchase"), dtype=np.int64)
    keys = [line.split(maxsplit=1)[0] for line in lines]
    known = np.ones(len(rows), dtype=bool)
    return Interactions(keys, known, offsets, items, purchase, places * 86_400_000_000), int(items.max()) + 1

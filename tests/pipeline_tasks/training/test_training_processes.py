import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline_tasks.settings import REPOSITORY
from pipeline_tasks.training.training_processes import ALONE, Processes
from tests.pipeline_tasks.training.joined_training import KINDS, trained


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joined")
    # --standalone: a free port of this machine.
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    subprocess.run(
        [*start, "--nproc-per-node=2", "-m", "tests.pipeline_tasks.training.joined_training", str(folder)],
        cwd=REPOSITORY,
        check=True,
        timeout=300,
    )
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_give_the_model_of_one(joined: Path, kind: str) -> None:
    first, second = (load_file(joined / f"{kind}.{rank}.safetensors") for rank in range(2))
    weights, losses = trained(KINDS[kind])
    torch.testing.assert_close(first.pop("losses"), torch.tensor(losses), rtol=1e-5, atol=0)
    second.pop("losses")
    # Its two sides come from a random subspace, whose axes turn with the order of a sum; their product does not.
    inward, outward = weights.pop("linear_in"), weights.pop("linear_out")
    together = first.pop("linear_in") @ first.pop("linear_out").T
    torch.testing.assert_close(together, inward @ outward.T, rtol=1e-3, atol=1e-4)
    assert torch.equal(together, second.pop("linear_in") @ second.pop("linear_out").T)
    for name, expected in weights.items():
        # Sums in another order: 1e-6 of a gradient, which Adam's root makes as large as 1e-4 where gradients are small.
        torch.testing.assert_close(first[name], expected, rtol=1e-3, atol=1e-4, msg=name)
        assert torch.equal(first[name], second[name]), name


def test_all_processes_go_on_from_one_checkpoint(joined: Path) -> None:
    first, second = (load_file(joined / f"resumed.{rank}.safetensors") for rank in range(2))
    assert first["epoch"] == second["epoch"] == 2
    for name, weights in first.items():
        assert torch.equal(weights, second[name]), name


def test_parts_cover_all_rows_once() -> None:
    rows = np.arange(7)
    assert np.concatenate([rows[Processes(rank, 3).share_of(7)] for rank in range(3)]).tolist() == rows.tolist()
    assert rows[ALONE.share_of(7)].tolist() == rows.tolist()

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline_tasks.config.settings import REPOSITORY, inherited_environment
from pipeline_tasks.local_runtime.gpu_count import TORCHRUN, TORCHRUN_ENVIRONMENT
from pipeline_tasks.training.training_processes import ALONE, Processes
from tests.pipeline_tasks.training.joined_training import KINDS, trained

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joined")
    run_twice("tests.pipeline_tasks.training.joined_training", folder)
    return folder


def run_twice(module: str, folder: Path) -> None:
    """Run the module in two processes, as an Airflow task does."""
    subprocess.run(
        [sys.executable, *TORCHRUN, "--nproc-per-node=2", "-m", module, str(folder)],
        cwd=REPOSITORY,
        env=inherited_environment() | TORCHRUN_ENVIRONMENT,
        check=True,
        timeout=300,
    )


def test_processes_listen_on_this_machine_alone(tmp_path: Path) -> None:
    run_twice("tests.pipeline_tasks.training.joined_sockets", tmp_path)
    found = json.loads((tmp_path / "sockets.json").read_text())
    assert len(found) >= 3, "a store, and both processes"
    assert {address for address, _ in found} == {"127.0.0.1"}


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_give_the_model_of_one(joined: Path, kind: str) -> None:
    first, second = (load_file(joined / f"{kind}.{rank}.safetensors") for rank in range(2))
    weights, losses = trained(KINDS[kind])
    torch.testing.assert_close(first.pop("losses"), torch.tensor(losses), rtol=1e-5, atol=0)
    second.pop("losses")
    # Its two sides come from a random subspace, whose axes turn with the order of a sum; their product does not.
    user_side, item_side = weights.pop("linear_in"), weights.pop("linear_out")
    together = first.pop("linear_in") @ first.pop("linear_out").T
    torch.testing.assert_close(together, user_side @ item_side.T, rtol=1e-3, atol=1e-4)
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

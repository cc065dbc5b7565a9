import pytest
import torch
from pyspark import TaskContext
from pyspark.resource import ResourceInformation

from spark_jobs.task_device import choose_device, task_device


class TaskWithGpu:
    """Stands for a task to which Spark's scheduling gave GPU 3."""

    def resources(self) -> dict[str, ResourceInformation]:
        return {"gpu": ResourceInformation("gpu", ["3", "4"])}


def test_a_task_computes_on_the_gpu_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskContext, "get", TaskWithGpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert task_device() == torch.device("cuda", 3)


def test_a_gpu_that_nobody_gave_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert task_device() == torch.device("cpu")


@pytest.mark.parametrize("address", ["2", "GPU-8f3c"])
def test_a_gpu_that_torch_does_not_see_is_named(address: str) -> None:
    with pytest.raises(ValueError, match=f"gave the task GPU '{address}', but torch sees 2"):
        choose_device([address], visible=2)

"""The pods that KubernetesExecutor would start, built by the provider's own code without a cluster."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

from pipeline_tasks.config.settings import REPOSITORY
from tests.docker.compose_project import DOCKER, read_services

pytestmark = pytest.mark.slow

TEMPLATE = DOCKER / "pod_template.yaml"


def pod_of(executors: str) -> Any:  # noqa: ANN401
    """Return the pod of a task that requests one GPU, as the executor joins template, override and its own fields."""
    from run_schedule import pod_with_one_gpu

    return PodGenerator.construct_pod(
        dag_id="fine_tune_recommender",
        task_id="train_candidate",
        pod_id="fine-tune-recommender-train-candidate-1",
        try_number=1,
        kube_image="",
        date=datetime(2026, 11, 21, tzinfo=UTC),
        args=["python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string", "{}"],
        pod_override_object=PodGenerator.from_obj(pod_with_one_gpu(executors)),
        base_worker_pod=PodGenerator.deserialize_model_file(str(TEMPLATE)),
        namespace="shop",
        scheduler_job_id="1",
        map_index=0,
        run_id="scheduled",
    )


@pytest.mark.parametrize("executors", ["KubernetesExecutor", "CeleryExecutor,KubernetesExecutor"])
def test_a_task_that_requests_a_gpu_gets_one_and_the_rest_of_the_template(executors: str) -> None:
    [container] = pod_of(executors).spec.containers
    assert container.name == "base"
    assert container.resources.limits == {"nvidia.com/gpu": "1"}
    assert container.args[0] == "python"
    [mounted] = container.volume_mounts
    [volume] = pod_of(executors).spec.volumes
    assert (mounted.name, mounted.mount_path) == (volume.name, "/var/lib/nightshelf")
    assert volume.persistent_volume_claim.claim_name == "nightshelf-home"
    assert {source.config_map_ref is not None for source in container.env_from} == {True, False}


@pytest.mark.parametrize("executors", ["CeleryExecutor", "LocalExecutor"])
def test_executors_without_pods_get_no_pod(executors: str) -> None:
    from run_schedule import pod_with_one_gpu

    assert pod_with_one_gpu(executors) == {}
    assert PodGenerator.from_obj(pod_with_one_gpu(executors)) is None


def test_the_configured_executor_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    from run_schedule import on_one_gpu

    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "KubernetesExecutor")
    assert on_one_gpu()["executor_config"]["pod_override"].spec.containers[0].resources.limits == {
        "nvidia.com/gpu": "1"
    }
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    assert on_one_gpu() == {"pool": "gpu", "queue": "gpu", "executor_config": {}}


def test_the_template_runs_the_image_of_every_role_as_its_user_on_its_home() -> None:
    pod = PodGenerator.deserialize_model_file(str(TEMPLATE))
    image = read_services()["airflow-worker"]["image"].replace("${NIGHTSHELF_VERSION:-", "").rstrip("}")
    assert pod.spec.containers[0].image == image
    dockerfile = (DOCKER / "Dockerfile").read_text()
    assert f"NIGHTSHELF_HOME={pod.spec.containers[0].volume_mounts[0].mount_path}" in dockerfile
    assert f"--uid {pod.spec.security_context.run_as_user} " in dockerfile
    assert re.search(r"^COPY docker/pod_template.yaml docker/$", dockerfile, flags=re.MULTILINE)
    guide = (REPOSITORY / "docs" / "guides" / "operations.md").read_text()
    assert guide.count("/opt/nightshelf/docker/pod_template.yaml") == 1

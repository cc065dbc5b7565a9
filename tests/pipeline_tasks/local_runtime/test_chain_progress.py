import io

from rich.console import Console

from pipeline_tasks.local_runtime.airflow_client import TaskRun
from pipeline_tasks.local_runtime.chain_progress import ConsoleProgress

TASK = TaskRun("train_candidate", "train_candidate [lora]", "success", 1, 1, 141.2)


def test_a_mapped_tasks_name_is_shown_whole() -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=120)
    with console.status("") as status:
        ConsoleProgress(console, status).finished("fine_tune_recommender", TASK)
    assert "fine_tune_recommender.train_candidate [lora]  141.2 s" in shown.getvalue()

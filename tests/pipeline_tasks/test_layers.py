"""Which package may import which. All imports are read from the source, also those within functions."""

import ast
import gc
import importlib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parents[2]
LIBRARY: Final = REPOSITORY / "pipeline_tasks"
TRAINING_JOBS: Final = ("train_candidate", "evaluate_candidates")
SELDOM_NEEDED: Final = {"matplotlib", "optuna", "peft"}
"""Packages that take seconds to import, and that most trainings do not need."""
BASE: Final = {"device", "progress_log", "run_key", "spark_place", "times"}
LAYERS: Final = (
    *("base", "config", "errors", "tables", "lake", "sources", "quality", "local_runtime"),
    *("data", "topk", "evaluation"),
    *(
        "encoders",
        "models",
        "training",
        "recommend",
        "registry",
        "candidates",
        "maintenance",
        "pages",
        "cli",
        "reference",
    ),
)
"""Each layer may import those before it, and none after it."""


def _layer(module: str) -> str:
    first = module.split(".")[1]
    return "base" if first in BASE else first


def _module_of(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES: Final = {_module_of(file): file for file in LIBRARY.rglob("*.py")}


def imported(tree: ast.AST) -> set[str]:
    """Return the modules that are imported anywhere in the tree. A name imported from a package may be a module."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & set(FILES) or {node.module}
    return found


def imported_at_start(tree: ast.Module) -> set[str]:
    """Return the modules that are imported as soon as the module of the tree is."""
    return imported(ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []))


def environment_reads(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that read the environment. Lines that only set variables are left out."""
    set_there = [
        target.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript)
    ] + [node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "setdefault"]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node not in set_there:
            found = {ast.unparse(node)}
        elif isinstance(node, ast.ImportFrom):
            found = {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            continue
        if found & {"os.environ", "os.getenv"}:
            yield node.lineno


TREES: Final = {module: ast.parse(file.read_text()) for module, file in FILES.items()}
OURS: Final = {module: imported(tree) & set(FILES) - {"pipeline_tasks"} for module, tree in TREES.items()}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import pipeline_tasks.lake.lake", "pipeline_tasks.lake.lake"),
        ("from pipeline_tasks.config import settings", "pipeline_tasks.config.settings"),
        ("from pipeline_tasks.lake import lake as one", "pipeline_tasks.lake.lake"),
        ("def later():\n    from pipeline_tasks.lake.lake import Lake", "pipeline_tasks.lake.lake"),
        ("from airflow.sdk import DAG", "airflow.sdk"),
    ],
)
def test_every_form_of_import_is_seen(line: str, found: str) -> None:
    assert imported(ast.parse(line)) == {found}


@pytest.mark.parametrize(
    ("line", "reads"),
    [
        ("os.environ['HOME']", True),
        ("'HOME' in os.environ", True),
        ("given = os.environ | {}", True),
        ("os.getenv('HOME')", True),
        ("from os import environ", True),
        ("os.environ['JAVA_HOME'] = java", False),
        ("os.environ.setdefault('PYSPARK_PYTHON', python)", False),
    ],
)
def test_every_reading_of_the_environment_is_seen(line: str, reads: bool) -> None:
    assert bool(list(environment_reads(ast.parse(line)))) is reads


def test_every_module_is_in_a_layer() -> None:
    modules = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert {_layer(f"pipeline_tasks.{name}") for name in modules | packages} == set(LAYERS)


def test_no_layer_imports_a_later_one() -> None:
    place = {layer: number for number, layer in enumerate(LAYERS)}
    backward = [
        f"{module} imports {other}"
        for module, others in OURS.items()
        for other in others
        if module != "pipeline_tasks" and place[_layer(other)] > place[_layer(module)]
    ]
    assert not backward


def test_no_import_is_circular() -> None:
    try:
        TopologicalSorter(OURS).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_library_imports_no_dag_no_spark_job_and_no_airflow() -> None:
    above = ("airflow", "spark_jobs", "dags")
    assert [
        f"{module} imports {other}"
        for module, tree in TREES.items()
        for other in imported(tree)
        if other.partition(".")[0] in above
    ] == []


def test_only_the_settings_read_the_environment() -> None:
    files = [*FILES.values(), *(REPOSITORY / "spark_jobs").rglob("*.py"), *(REPOSITORY / "dags").glob("*.py")]
    readers = {file: list(environment_reads(ast.parse(file.read_text()))) for file in files}
    assert {str(file.relative_to(REPOSITORY)) for file, lines in readers.items() if lines} == {
        "pipeline_tasks/config/settings.py"
    }


@pytest.mark.parametrize("job", TRAINING_JOBS)
def test_a_training_job_starts_without_what_it_seldom_needs(job: str) -> None:
    reached, waiting = set(), {f"pipeline_tasks.candidates.{job}"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= imported_at_start(TREES[module]) & set(FILES) - reached
    assert {
        f"{module} imports {other}"
        for module in reached
        for other in imported_at_start(TREES[module])
        if other.partition(".")[0] in SELDOM_NEEDED
    } == set()


def test_what_is_imported_is_seldom_searched_for_garbage() -> None:
    importlib.import_module("pipeline_tasks")
    assert gc.get_threshold()[0] >= 50_000

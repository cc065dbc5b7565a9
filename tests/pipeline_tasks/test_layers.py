import ast
from pathlib import Path
from typing import Final

LIBRARY: Final = Path(__file__).resolve().parents[2] / "pipeline_tasks"
BASE: Final = {"clear_exit", "device", "event_weights", "night", "night_arguments", "settings", "task_weights"} | {
    "training_error"
}
LAYERS: Final = (
    *("base", "tables", "storage", "intake", "gates", "operation", "behavior", "bulk_top_k", "evaluation"),
    *("collaborative", "encoders", "model", "training", "peer_models", "shelves", "search", "insight"),
    *("champion", "candidates", "cli"),
)
"""Each may import those before it, never one behind it."""


def _layer(module: str) -> str:
    first = module.split(".")[1]
    # The contracts are made of tables/ and rendered by it: one layer.
    return "base" if first in BASE else "tables" if first == "contracts" else first


def _imported(file: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ImportFrom)]
    return {node.module for node in nodes if node.module and node.module.startswith("pipeline_tasks.")}


def test_every_module_is_in_a_layer() -> None:
    modules = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert {_layer(f"pipeline_tasks.{name}") for name in modules | packages} == set(LAYERS)


def test_knowledge_flows_from_one_layer_to_the_next_and_never_back() -> None:
    place = {layer: number for number, layer in enumerate(LAYERS)}
    backward = []
    for file in set(LIBRARY.rglob("*.py")) - {LIBRARY / "__init__.py"}:
        own = _layer(".".join(file.relative_to(LIBRARY.parent).with_suffix("").parts))
        backward += [f"{file} imports {module}" for module in _imported(file) if place[_layer(module)] > place[own]]
    assert not backward

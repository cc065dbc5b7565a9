"""Structured values of items as vectors: TF-IDF of the values seen at fitting, turned to its strongest axes.

Whitened and projected like texts, they describe items that have no text at all, and new items beside their text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd

from pipeline_tasks.interactions import Floats
from pipeline_tasks.item_values import shared_values

MOST_VALUES: Final = 20_000
"""The values most items have: what is rarer is left out of very large catalogs."""
WIDTH: Final = 256


@dataclass(frozen=True)
class FeatureTable:
    """The vocabulary, and what each value counts."""

    values: list[str]
    weights: Floats
    """(values,) inverse document frequency."""
    axes: Floats
    """(values, width)"""

    @property
    def width(self) -> int:
        """Length of a vector; 0 where items share no values."""
        return int(self.axes.shape[1])

    def vectors(self, items: Sequence[Sequence[str]]) -> Floats:
        """Return (items, width) of each item's values; NaN for an item none of whose values was seen at fitting."""
        if not self.values:
            return np.zeros((len(items), 0), dtype=np.float32)
        counter = TfidfVectorizer(analyzer=tuple, vocabulary=self.values, dtype=np.float32)
        counter.idf_ = self.weights
        matrix = counter.transform(items)
        vectors = np.asarray(matrix @ self.axes, dtype=np.float32)
        vectors[np.diff(matrix.indptr) == 0] = np.nan
        return vectors

    def save(self, path: Path) -> None:
        """Write one Parquet file: value, weight, axes."""
        starts = np.arange(len(self.values) + 1) * self.width
        axes = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), pa.array(self.axes.ravel(), pa.float32()))
        pq.write_table(pa.table({"value": self.values, "weight": self.weights, "axes": axes}), path)


def load_feature_table(path: Path) -> FeatureTable:
    """Read what `save` wrote."""
    table = pq.read_table(path)
    axes = table["axes"].combine_chunks().flatten().to_numpy()
    shape = (table.num_rows, len(axes) // max(1, table.num_rows))
    return FeatureTable(table["value"].to_pylist(), table["weight"].to_numpy(), axes.reshape(shape))


def fit_feature_table(items: Sequence[Sequence[str]], seed: int, width: int = WIDTH) -> FeatureTable:
    """Return the table of the values that at least two of `items` have, with at most `width` axes."""
    if not shared_values(items):
        return FeatureTable([], np.zeros(0, np.float32), np.zeros((0, 0), np.float32))
    counter = TfidfVectorizer(analyzer=tuple, min_df=2, max_features=MOST_VALUES, dtype=np.float32)
    matrix = counter.fit_transform(items)
    _, _, axes = randomized_svd(matrix, min(width, *matrix.shape), n_iter=4, random_state=seed)
    return FeatureTable(counter.get_feature_names_out().tolist(), counter.idf_, np.asarray(axes.T, dtype=np.float32))

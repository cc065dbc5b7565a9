"""Every part of a line is in a record, or the line is rejected with its text."""

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from pipeline_tasks.config.source_toml import FileForm
from spark_jobs.landing.read_records import read_records

pytestmark = pytest.mark.spark

# Each example is a Spark job: few, but of many lines.
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MARK = re.compile(r"m\d+x")

json_parts = st.sampled_from(
    [
        *(
            '{"a": "M"}',
            '{"b": {"c": ["M", {"d": "M"}]}}',
            '{"a": "M}{"}',
            '{"a": "}\\"M"}',
            '[{"a": "M"}, {"b": "M"}]',
        ),
        *('{"a": "M"', '"M"', '["M"', "}", "]", '{"a": "M"}]', "null", "\x00", '{"a": "\\u007dM"}', "'M'", '{"a" "M"}'),
    ]
)
json_lines = st.lists(st.tuples(json_parts, st.sampled_from(["", " ", ",", ", ", "\t", "\ufeff"])), min_size=1)
csv_parts = st.sampled_from(["M", '"M"', '"M', 'M"', '"M"M', '"M, M"', '"M""M"', '"M\\"M"', "M\\", " M ", '" "M'])
csv_lines = st.lists(csv_parts, min_size=1, max_size=4).map(",".join)


def marked(lines: list[str]) -> list[str]:
    """Replace every M of the lines by a number."""
    count = iter(range(1_000_000))
    return [re.sub("M", lambda _: f"m{next(count)}x", line) for line in lines]


def assert_nothing_is_dropped(spark: SparkSession, form: FileForm, file: Path, lines: list[str]) -> None:
    lines = marked(lines)
    file.write_text("\n".join(lines) + "\n")
    rows = read_records(spark, form, [str(file)], "events").collect()
    read = set(MARK.findall(" ".join(str(value) for row in rows for value in row)))
    assert set(MARK.findall(" ".join(lines))) == read


@FEW
@given(st.lists(json_lines.map(lambda parts: "".join(map("".join, parts))), min_size=40, max_size=80))
def test_objects_after_the_first_are_never_dropped(spark: SparkSession, tmp_path: Path, lines: list[str]) -> None:
    form = FileForm(format="json", fields=["a", "b"])
    assert_nothing_is_dropped(spark, form, tmp_path / "events.json", lines)


@FEW
@given(st.lists(csv_lines, min_size=40, max_size=80))
def test_csv_values_beyond_the_columns_are_never_dropped(spark: SparkSession, tmp_path: Path, lines: list[str]) -> None:
    form = FileForm(format="csv", fields=["a", "b"])
    assert_nothing_is_dropped(spark, form, tmp_path / "events.csv", lines)

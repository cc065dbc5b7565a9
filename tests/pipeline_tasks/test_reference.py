"""The rendered pages are in step with the code."""

import pytest

from pipeline_tasks.config.settings import REPOSITORY
from pipeline_tasks.reference import RENDERED, render_settings
from pipeline_tasks.tables.contracts import TABLES


@pytest.mark.parametrize("name", RENDERED)
def test_the_page_is_what_the_code_renders(name: str) -> None:
    page = (REPOSITORY / "docs" / "reference" / name).read_text()
    assert page == RENDERED[name](), "run: python -m pipeline_tasks.reference"


@pytest.mark.parametrize("name", TABLES)
def test_the_example_of_a_table_queries_it(name: str) -> None:
    assert f"FROM {name}" in TABLES[name].example


def test_every_setting_has_a_short_meaning() -> None:
    rows = [line for line in render_settings().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if len(row) > 299] == []
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize(
    "row",
    [
        "| `NIGHTSHELF_HOME` | path | `.nightshelf` | Folder",
        "| `NIGHTSHELF_JAVA_HOME` or `JAVA_HOME` | path | unset |",
        "| `NIGHTSHELF_POSTGRES_SINK` | secret text | unset |",
        "| `NIGHTSHELF_SPLIT__STRATEGY` | `temporal`, `leave_one_out`, `per_user` | unset |",
        "| `NIGHTSHELF_TRAINING__DROPOUT` | number, ≥ 0, < 1 | unset |",
        '| `NIGHTSHELF_TRAINING__CANDIDATES` | JSON list of `frozen`, `lora`, `last_layers`, `full` | `["frozen", ',
    ],
)
def test_a_row_shows_variable_values_and_default(row: str) -> None:
    assert f"\n{row}" in render_settings()

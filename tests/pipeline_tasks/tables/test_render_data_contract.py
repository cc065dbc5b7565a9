from pathlib import Path

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.tables.render_data_contract import QUERIES, render

PAGE = Path(__file__).resolve().parents[3] / "docs" / "data-contract.md"


def test_the_page_is_what_the_contracts_say() -> None:
    assert PAGE.read_text() == render(), (
        "run: python -m pipeline_tasks.tables.render_data_contract > docs/data-contract.md"
    )


def test_every_table_has_a_query() -> None:
    assert list(QUERIES) == list(TABLES)

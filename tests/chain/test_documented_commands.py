"""Every command that README.md and the pages of docs/ show is run here, or by the test it names."""

import shlex
import subprocess
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import REPOSITORY, Settings
from pipeline_tasks.tables.contracts import TABLES
from tests.chain.installation import Installation
from tests.documented import PAGES, shown_blocks

pytestmark = pytest.mark.chain

RUN_ELSEWHERE = {
    # The runs of test_chain.py run through `nightshelf run`; these two differ in where the files lie.
    "nightshelf run --date 2026-11-20 --source corner_shop.toml": "tests/spark_jobs/test_readme_source.py",
    "nightshelf run --date 2011-12-09 --source online_retail --source-path /data/online_retail": (
        "tests/spark_jobs/test_real_logs.py"
    ),
    # The users and queries of a simulated shop depend on its size.
    "nightshelf show user u17": "tests/pipeline_tasks/cli/test_show_commands.py",
    'nightshelf show query "red lamp"': "tests/pipeline_tasks/cli/test_show_commands.py",
    "nightshelf lookup u17": "tests/pipeline_tasks/cli/test_table_commands.py",
}


def shown_commands() -> list[str]:
    """Return the lines of the pages' shell blocks, each once."""
    lines = [line for page in PAGES for block in shown_blocks(page, "sh") for line in block.splitlines() if line]
    return list(dict.fromkeys(lines))


@pytest.mark.parametrize("command", [line for line in shown_commands() if line.startswith("make ")])
def test_make_has_the_target(command: str) -> None:
    done = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [line for line in shown_commands() if line.startswith("nightshelf ")])
def test_shown_command_works(command: str, installation: Installation, first_run: str) -> None:
    if command in RUN_ELSEWHERE:
        assert (REPOSITORY / RUN_ELSEWHERE[command]).is_file()
        return
    assert installation.succeed(*shlex.split(command)[1:])


@pytest.mark.parametrize("table", TABLES)
def test_query_of_the_data_contract_finds_rows(table: str, installation: Installation, first_run: str) -> None:
    assert installation.rows(TABLES[table].example), f"no rows: {TABLES[table].example}"


@pytest.mark.parametrize("line", [line for line in shown_commands() if line.startswith("export ")])
def test_shown_setting_is_read(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, assignment = shlex.split(line, comments=True)
    variable, value = assignment.split("=", maxsplit=1)
    assert variable.startswith("NIGHTSHELF_")
    before = Settings()
    monkeypatch.setenv(variable, value)
    assert Settings() != before, "the line changes nothing"


def test_no_shown_command_is_of_another_kind() -> None:
    assert [line for line in shown_commands() if not line.startswith(("make ", "nightshelf ", "export "))] == []


def test_every_folder_and_file_of_the_tree_exists() -> None:
    [tree] = shown_blocks(REPOSITORY / "README.md", "text")
    named = [line.split()[0] for line in tree.splitlines() if line and not line.startswith(" ")]
    assert named
    assert [name for name in named if not Path(REPOSITORY / name).exists()] == []

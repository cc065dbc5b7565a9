"""The commands that need no server."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline_tasks import cli
from pipeline_tasks.config.settings import settings
from pipeline_tasks.local_runtime.doctor import Finding
from pipeline_tasks.local_runtime.run_summary import print_recommendations


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path))
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_tables_of_an_empty_lake_prints_how_to_fill_it() -> None:
    done = CliRunner().invoke(cli.app, ["tables"])
    assert done.exit_code == 0
    assert "no tables yet: `nightshelf run` makes them" in done.stdout


@pytest.mark.parametrize(("command", "columns"), [(["tables"], []), (["source", "list"], ["source", "kind", "files"])])
def test_lists_as_json(command: list[str], columns: list[str]) -> None:
    done = CliRunner().invoke(cli.app, [*command, "--json"])
    assert done.exit_code == 0
    assert [list(row) for row in json.loads(done.stdout)][:1] == [columns] * bool(columns)


def test_the_doctor_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("Java", "wrong", "there is none", "install one"), Finding("disk", "fine", "50 GiB free")]
    monkeypatch.setattr("pipeline_tasks.local_runtime.doctor.examine", lambda _: found)
    done = CliRunner().invoke(cli.app, ["doctor", "--json"])
    assert done.exit_code == 1
    java, disk = json.loads(done.stdout)
    assert java == {"subject": "Java", "status": "wrong", "detail": "there is none", "remedy": "install one"}
    assert (disk["subject"], disk["status"]) == ("disk", "fine")


def test_every_command_has_an_example_that_it_accepts() -> None:
    from typer.main import get_command

    group: Any = get_command(cli.app)
    groups = ("source", "show")
    commands: dict[tuple[str, ...], Any] = {
        (name,): command for name, command in group.commands.items() if name not in groups
    }
    commands |= {(one, name): command for one in groups for name, command in group.commands[one].commands.items()}
    assert len(commands) > 10
    for path, command in commands.items():
        example = command.help.partition("Example: nightshelf ")[2].strip()
        words = shlex.split(example)
        assert tuple(words[: len(path)]) == path, path
        # Parsing alone: an unknown option or a missing argument raises an error.
        command.make_context(path[-1], words[len(path) :])


def test_the_shell_completes_commands_and_values() -> None:
    def completed(line: str) -> list[str]:
        variables = {"_NIGHTSHELF_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        return CliRunner().invoke(cli.app, [], prog_name="nightshelf", env=variables).stdout.split()

    assert completed("nightshelf do") == ["down", "doctor"]
    assert completed("nightshelf open m") == ["mlflow"]


def test_an_error_is_written_to_standard_error_alone() -> None:
    done = CliRunner().invoke(cli.app, ["sql", "--format", "csv", "SELECT nothing FROM events"])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert 'column "nothing" not found' in done.stderr


def test_brackets_in_a_title_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_recommendations(
        cli.console,
        [("user [u]1", 1, "i1", "[new] lamp", 0.5, "for you"), ("user [u]1", 2, "i2", "[/] mug", 0.4, "popular")],
    )
    printed = capsys.readouterr().out
    assert "recommendations for user [u]1" in printed
    assert "  1. [new] lamp (i1), score 0.5: for you" in printed
    assert "  2. [/] mug (i2), score 0.4: popular" in printed


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_day_that_has_not_begun_is_refused_before_anything_runs(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_tasks.local_runtime.servers.start_servers", lambda *_: [])
    done = CliRunner().invoke(cli.app, [command, "--date", "2099-01-01"])
    assert done.exit_code == 1
    assert "2099-01-01 of simulated_shop is later than today" in done.stderr


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ([], "http://127.0.0.1:8080"),
        (["mlflow"], "https://mlflow.shop"),
        (["docs"], "http://127.0.0.1:8090"),
        (["spark"], "http://127.0.0.1:8091"),
    ],
)
def test_open_shows_a_page_and_prints_its_address(
    page: list[str], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHELF_PAGES__MLFLOW", "https://mlflow.shop")
    settings.cache_clear()
    opened: list[str] = []

    def browser(url: str) -> bool:
        opened.append(url)
        return len(opened) == 1

    monkeypatch.setattr("webbrowser.open", browser)
    done = CliRunner().invoke(cli.app, ["open", *page])
    assert (done.exit_code, done.stdout.strip(), opened) == (0, address, [address])
    assert done.stderr == ""
    assert "there is no browser here" in CliRunner().invoke(cli.app, ["open", *page]).stderr


def test_open_of_another_spark_asks_for_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTSHELF_SPARK_MASTER", "yarn")
    settings.cache_clear()
    done = CliRunner().invoke(cli.app, ["open", "spark"])
    assert done.exit_code == 1
    assert "set NIGHTSHELF_PAGES__SPARK to its address" in done.stderr
    assert CliRunner().invoke(cli.app, ["open", "grafana"]).exit_code == 2


def test_a_source_is_registered_listed_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "corner.toml"
    file.write_text(
        'name = "corner_shop"\n[events]\npath = "e.csv"\nformat = "csv"\n[events.columns]\n'
        'ts = "t"\nevent_type = "\'view\'"\nitem_id = "i"\n'
    )
    for command, expected in (
        (["add", str(file)], "registered: corner_shop, files in "),
        (["list"], "corner_shop"),
        (["remove", "corner_shop"], "removed: corner_shop; its tables and landed files stay"),
    ):
        done = CliRunner().invoke(cli.app, ["source", *command])
        assert (done.exit_code, expected in done.stdout) == (0, True), (done.output, done.exception)
    assert "corner_shop" not in CliRunner().invoke(cli.app, ["source", "list"]).stdout
    again = CliRunner().invoke(cli.app, ["source", "remove", "corner_shop"])
    assert again.exit_code == 1
    assert "is not registered" in again.stderr

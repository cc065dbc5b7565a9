"""Commands that start, stop and watch the servers and the chain."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from pipeline_tasks.cli.terminal import (
    DateOption,
    JsonOption,
    SourceOption,
    app,
    console,
    errors,
    exit_with_nothing_found,
    print_json,
    short_errors,
)
from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.lake_sql import for_terminal
from pipeline_tasks.run_key import RunKey, parse_day, partition_key
from pipeline_tasks.sources.sources import checked_run_key, source_name, yesterday_run_key

if TYPE_CHECKING:
    from pipeline_tasks.local_runtime.doctor import Finding
    from pipeline_tasks.local_runtime.progress import Progress


@app.command()
def up(
    date: DateOption = None,
    servers_only: Annotated[bool, typer.Option(help="Start the servers, and run nothing.")] = False,
) -> None:
    """Start Airflow, MLflow, Spark and the Data Docs, run the chain for yesterday (or --date), show the result.

    Example: nightshelf up --date 2026-11-20
    """
    from pipeline_tasks.local_runtime.progress import progress_on
    from pipeline_tasks.local_runtime.run_summary import show_recommendations
    from pipeline_tasks.local_runtime.servers import start_servers

    with short_errors():
        run_key = None if servers_only else _run_key(settings().source, date)
        with progress_on(console) as progress:
            started = start_servers(settings(), progress.show_servers)
            console.print(f"started: {', '.join(started)}" if started else "all servers were running already")
            if run_key is not None:
                _run_chain(run_key, progress)
        if run_key is not None:
            show_recommendations(console, settings(), run_key)
        _show_addresses(run_key)


@app.command()
def down() -> None:
    """Stop what `nightshelf up` started.

    Example: nightshelf down
    """
    from pipeline_tasks.local_runtime.servers import stop_servers

    with short_errors(), console.status("stopping"):
        stopped = stop_servers(settings())
    console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def run(
    date: DateOption = None,
    source: SourceOption = None,
    source_path: Annotated[str | None, typer.Option(help="Folder of the source's files.")] = None,
    choices: Annotated[
        list[str] | None, typer.Option("--set", help="A field of a form, e.g. --set epochs=2; may be repeated.")
    ] = None,
) -> None:
    """Run the chain for one date through Airflow, follow it, show recommendations; exits with 1 when a task fails.

    Example: nightshelf run --date 2026-11-20 --set epochs=2
    """
    from pipeline_tasks.local_runtime.progress import progress_on
    from pipeline_tasks.local_runtime.run_summary import show_recommendations

    with short_errors():
        run_key = _run_key(source or settings().source, date)
        options = {"source_path": _absolute(source_path)} if source_path else {}
        with progress_on(console) as progress:
            _run_chain(run_key, progress, choices or [], options)
        show_recommendations(console, settings(), run_key)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show what runs, since when, how long it usually takes, and what holds it up; exits with 1 after a failed run.

    Where nothing runs, it shows the latest run of each DAG. Example: nightshelf status
    """
    from pipeline_tasks.local_runtime.airflow_client import AirflowClient
    from pipeline_tasks.local_runtime.chain_status import read_status, status_table

    with short_errors():
        with AirflowClient.embedded(settings()) as airflow:
            found, silent = read_status(airflow), airflow.unhealthy_parts()
        if as_json:
            print_json({"runs": [one.as_json() for one in found], "unhealthy": silent})
        elif found:
            # A pipe has no width, and lines must not be broken there.
            Console(width=None if console.is_terminal else 200).print(status_table(found))
        else:
            console.print("no DAG has run yet: start one with `nightshelf run`")
        if silent:
            errors.print(f"Airflow's {', '.join(silent)} does not respond: restart with nightshelf down, then up")
        if silent or any(one.run.state == "failed" for one in found):
            raise typer.Exit(1)


@app.command()
def logs(
    task: Annotated[
        str | None, typer.Argument(help="A task, such as clean_behavior or 'train_candidate [lora]'.")
    ] = None,
) -> None:
    """Print the log of a task's latest run, by default of the task that failed or runs; exits with 3 if none does.

    Lines of Spark and Airflow that report no problem are left out. Example: nightshelf logs clean_behavior
    """
    from pipeline_tasks.local_runtime.airflow_client import AirflowClient
    from pipeline_tasks.local_runtime.chain_run import informative_lines
    from pipeline_tasks.local_runtime.chain_status import find_task

    with short_errors(), AirflowClient.embedded(settings()) as airflow:
        found = find_task(airflow, task)
        if found is None:
            wanted = f"no task {task!r} has started" if task else "no task runs, and none of the latest runs failed"
            exit_with_nothing_found(f"{wanted}: `nightshelf status` shows the runs, Airflow's UI all tasks")
        run, instance = found
        print(f"{run.run.dag_id}.{instance.label} of {run.key}: {instance.state}", file=sys.stderr)
        for line in informative_lines(airflow.log_lines(run.run, instance)):
            print(for_terminal(line))


@app.command("open")
def open_page(
    page: Annotated[Literal["airflow", "mlflow", "docs", "spark"], typer.Argument(help="The page.")] = "airflow",
) -> None:
    """Open a page in the browser, and print its address; docs are the Data Docs of the gates.

    Example: nightshelf open mlflow
    """
    import webbrowser

    from pipeline_tasks.local_runtime.run_summary import page_address

    with short_errors():
        address = page_address(settings(), page)
        console.print(address, soft_wrap=True, markup=False)
        if not webbrowser.open(address):
            errors.print("there is no browser here: open the address on a machine that reaches it")


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Look at versions, Java, GPU, ports and disk; exits with 1 when something is misconfigured.

    Example: nightshelf doctor
    """
    from pipeline_tasks.local_runtime.doctor import examine

    findings = examine(settings())
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        _print_findings(findings)
    if any(finding.status == "wrong" for finding in findings):
        raise typer.Exit(1)


def _print_findings(findings: "Sequence[Finding]") -> None:
    marks = {"fine": "[green]fine [/]", "note": "[yellow]note [/]", "wrong": "[red]wrong[/]"}
    for finding in findings:
        console.print(f"{marks[finding.status]} [bold]{finding.subject}[/]: {finding.detail}", soft_wrap=True)
        if finding.remedy:
            console.print(f"      remedy: {finding.remedy}", soft_wrap=True)


def _run_chain(
    run_key: RunKey, progress: "Progress", given: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> None:
    from pipeline_tasks.local_runtime.airflow_client import AirflowClient
    from pipeline_tasks.local_runtime.chain_run import (
        CHAIN,
        await_dags,
        chain_fields,
        follow_chain,
        read_choices,
        trigger_chain,
    )
    from pipeline_tasks.local_runtime.servers import POOLS

    with AirflowClient.embedded(settings()) as airflow:
        for pool, meaning in POOLS.items():
            airflow.set_pool(pool, 1, meaning)
        await_dags(airflow, progress)
        choices = read_choices(given, chain_fields(airflow)) | dict(options or {})
        console.print(f"run of [bold]{run_key.source}[/] for [bold]{run_key.ds}[/]")
        progress.plan(airflow, CHAIN)
        nightly = source_name(settings().source)
        first = trigger_chain(airflow, run_key, nightly, choices)
        follow_chain(airflow, first, partition_key(run_key, nightly), progress)


def _show_addresses(run_key: RunKey | None) -> None:
    from pipeline_tasks.local_runtime.run_summary import addresses
    from pipeline_tasks.registry.tracking import runs_page

    console.print()
    mlflow = settings().mlflow_page if run_key is None else runs_page(settings(), run_key)
    for what, address, login in addresses(settings(), mlflow):
        console.print(f"{what:10} {address}  ({login})", soft_wrap=True)
    console.print("stop them with: nightshelf down (or make down)")


def _run_key(source: str, day: str | None) -> RunKey:
    """Return the run key of the day, by default of yesterday in the source's time zone."""
    name = source_name(source)
    return checked_run_key(name, parse_day(day)) if day else yesterday_run_key(name, datetime.now(UTC))


def _absolute(path: str) -> str:
    return path if "://" in path else str(Path(path).resolve())

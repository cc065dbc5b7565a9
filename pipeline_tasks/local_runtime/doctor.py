"""Checks the machine and the settings, and reports what is misconfigured with the remedy."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal

import psutil

from pipeline_tasks.config.settings import IS_WHEEL, PROJECT_FILES, REPOSITORY, Settings
from pipeline_tasks.local_runtime.java import java_home, java_version
from pipeline_tasks.local_runtime.process_group import running_server
from pipeline_tasks.local_runtime.secret_files import OWNER_ONLY
from pipeline_tasks.local_runtime.servers import is_open, run_folder, servers
from pipeline_tasks.sources.sources import load_source

PACKAGES: Final = (
    "apache-airflow",
    "pyspark",
    "great-expectations",
    "torch",
    "transformers",
    "mlflow",
    "pyiceberg",
    "duckdb",
)
LEAST_DISK_GIB: Final = 5
"""The environment is 3 GiB, a month of the simulated shop with its models and logs 1 GiB."""
LEAST_MEMORY_GIB: Final = 8
"""All processes of `nightshelf up` together stay below it."""
_INSTALL: Final = "install nightshelf again" if IS_WHEEL else "make install"


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    status: Literal["fine", "note", "wrong"]
    detail: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Return a finding for everything that the chain depends on."""
    checks: tuple[Callable[[Settings], list[Finding]], ...] = (
        _python,
        _packages,
        _spark_pair,
        _java,
        _gpu,
        _source,
        _ports,
        _privacy,
        _disk,
        _memory,
        _registry,
    )
    return [finding for check in checks for finding in check(settings)]


def _python(_: Settings) -> list[Finding]:
    detail = f"{sys.version.split()[0]} in {sys.prefix}"
    fits = (3, 11) <= sys.version_info < (3, 14)
    return [Finding("Python", "fine" if fits else "wrong", detail, "" if fits else "use Python 3.11, 3.12 or 3.13")]


def _packages(_: Settings) -> list[Finding]:
    return [_package(name) for name in PACKAGES]


def _package(name: str) -> Finding:
    installed, locked = _installed(name), _locked(name)
    if installed is None:
        return Finding(name, "wrong", "not installed", _INSTALL)
    # The version of torch ends with a plus sign and its build.
    if locked is not None and installed.split("+")[0] != locked:
        return Finding(name, "wrong", f"{installed}, but requirements.lock has {locked}", _INSTALL)
    return Finding(name, "fine", installed)


def _spark_pair(_: Settings) -> list[Finding]:
    classic, client = _installed("pyspark"), _installed("pyspark-client")
    if classic == client:
        return [Finding("pyspark = pyspark-client", "fine", f"both {classic}")]
    remedy = f"they share one folder: install both at one version ({_INSTALL})"
    return [Finding("pyspark = pyspark-client", "wrong", f"{classic} and {client}", remedy)]


def _java(settings: Settings) -> list[Finding]:
    try:
        home = java_home(settings)
    except FileNotFoundError as error:
        return [Finding("Java", "wrong", str(error), _INSTALL)]
    return [Finding("Java", "fine", f"{java_version(home)} in {home}")]


def _gpu(_: Settings) -> list[Finding]:
    # Imported here, because it takes seconds and no other command needs it.
    import torch

    if torch.cuda.is_available():
        return [Finding("GPU", "fine", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}")]
    if Path("/proc/driver/nvidia").exists():
        detail = f"the machine has an NVIDIA driver, but torch {torch.__version__} does not see a GPU"
        command = "uvx --torch-backend auto" if IS_WHEEL else "rm .venv/.installed && make install"
        return [Finding("GPU", "wrong", detail, f"install torch's build for it: {command}")]
    return [Finding("GPU", "note", "none: training runs on the processor's cores")]


def _source(settings: Settings) -> list[Finding]:
    try:
        source = load_source(settings.source)
    except (ValueError, FileNotFoundError) as error:
        return [Finding("source", "wrong", str(error), "set NIGHTSHELF_SOURCE")]
    return [Finding("source", "fine", f"{source.name}, files in {source.path}")]


def _ports(settings: Settings) -> list[Finding]:
    found = []
    for server in servers(settings):
        if running_server(server.name, run_folder(settings)) is not None:
            found.append(Finding(f"port {server.port}", "fine", f"{server.name} runs here"))
        elif is_open(server.port):
            remedy = f"end the other program, or set {server.port_variable}=<free port>"
            found.append(Finding(f"port {server.port}", "wrong", f"taken, wanted for {server.name}", remedy))
        else:
            found.append(Finding(f"port {server.port}", "note", f"free; {server.name} is not running (nightshelf up)"))
    return found


def _privacy(settings: Settings) -> list[Finding]:
    if not settings.home.exists():
        return []
    mode = settings.home.stat().st_mode & 0o777
    if mode & OWNER_ONLY:
        remedy = f"chmod 700 {settings.home} (nightshelf up does it too)"
        return [Finding("privacy", "note", f"other users of this machine can enter {settings.home} ({mode:o})", remedy)]
    return [Finding("privacy", "fine", f"only its owner can enter {settings.home}")]


def _disk(settings: Settings) -> list[Finding]:
    existing = next(folder for folder in (settings.home, *settings.home.resolve().parents) if folder.exists())
    gibibytes = shutil.disk_usage(existing).free / 2**30
    enough = gibibytes >= LEAST_DISK_GIB
    remedy = "" if enough else f"free {LEAST_DISK_GIB} GiB, or set NIGHTSHELF_HOME to a larger disk"
    return [Finding("disk", "fine" if enough else "wrong", f"{gibibytes:.0f} GiB free at {settings.home}", remedy)]


def _memory(_: Settings) -> list[Finding]:
    gibibytes = psutil.virtual_memory().total / 2**30
    enough = gibibytes >= LEAST_MEMORY_GIB
    remedy = "" if enough else "lower NIGHTSHELF_SPARK_DRIVER_MEMORY, or run MLflow on another machine"
    return [Finding("memory", "fine" if enough else "note", f"{gibibytes:.0f} GiB", remedy)]


def _registry(_: Settings) -> list[Finding]:
    missing = [name for name in ("server.env", "registry.yaml") if not (PROJECT_FILES / "mlflow" / name).exists()]
    if not missing:
        return [Finding("mlflow/", "fine", "server.env and registry.yaml are there")]
    remedy = _INSTALL if IS_WHEEL else "run from a complete checkout"
    return [Finding("mlflow/", "wrong", f"{', '.join(missing)} missing", remedy)]


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _locked(name: str) -> str | None:
    lock = REPOSITORY / "requirements.lock"
    lines = lock.read_text().splitlines() if lock.exists() else []
    return next((line.partition("==")[2].split(" ")[0] for line in lines if line.startswith(f"{name}==")), None)

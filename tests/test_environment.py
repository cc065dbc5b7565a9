"""The environment and the tree meet the requirements of the design."""

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "requirements.lock").read_text().splitlines()
LOCK = {
    requirement.name: requirement
    for requirement in (Requirement(line.removesuffix(" \\")) for line in LINES if line[:1].isalnum())
    if requirement.marker is None or requirement.marker.evaluate()
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]]


def test_pyspark_and_its_client_share_a_folder_and_so_a_version() -> None:
    assert version("pyspark") == version("pyspark-client")


@pytest.mark.parametrize("requirement", ASKED, ids=lambda requirement: requirement.name)
def test_the_lock_holds_the_dependencies_of_the_project(requirement: Requirement) -> None:
    locked = LOCK[requirement.name].specifier
    assert requirement.specifier.contains(str(locked).removeprefix("=="))


@pytest.mark.parametrize("name", ["apache-airflow", "great-expectations", "mlflow", "pyspark", "transformers"])
def test_installed_versions_are_the_locked_ones(name: str) -> None:
    assert LOCK[name].specifier.contains(version(name))


def test_the_lock_names_no_cuda_package_so_that_cpu_machines_download_none() -> None:
    assert not [name for name in LOCK if name.startswith(("nvidia-", "triton"))]


def test_the_lock_has_a_hash_of_every_package_but_torch() -> None:
    # torch has a hash for each of its builds, and the installer chooses the build.
    with_hash = {line.partition("==")[0] for line, after in pairwise(LINES) if after.startswith("    --hash=sha256:")}
    packages = {line.partition("==")[0].partition(" ")[0] for line in LINES if line[:1].isalnum()}
    assert packages - with_hash == {"torch"}


def test_without_a_fitting_python_uv_brings_one_or_the_message_says_what_is_needed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    programs = {"uv": "echo uv $*; exit 1", "python3": '[ "$1" = --version ] && echo Python 3.9.1'}
    for name, script in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    command = ["make", "--no-print-directory", "install", f"PYTHON={tmp_path / 'python3'}"]
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    ended = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    brought, message = ended.stdout.splitlines()
    assert brought == "uv venv --quiet --seed --python 3.11 .venv"
    assert message.startswith("Python 3.11, 3.12 or 3.13 is needed, Python 3.9.1 was found")
    assert message.endswith("set PYTHON=/path/to/python3.11, or install uv, which brings one")


def test_no_folder_of_settings_shadows_a_real_package() -> None:
    # Without __init__.py a folder gives way to the installed package of its name.
    assert not list((ROOT / "mlflow").rglob("*.py"))
    assert not list((ROOT / "docker").rglob("__init__.py"))


def test_the_hooks_run_what_make_lint_runs() -> None:
    [lint] = re.findall(r"^lint: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    [hooks] = [repo["hooks"] for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]]
    assert [f"\t{hook['entry'].removeprefix('.venv/bin/')}\n" for hook in hooks] == lint.splitlines(keepends=True)

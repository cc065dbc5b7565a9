import subprocess
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.local_runtime.java import SUPPORTED, java_home, java_version


def test_a_configured_java_of_a_supported_version_is_used(tmp_path: Path) -> None:
    given = fake_java(tmp_path / "given", "21.0.4")
    assert java_home(Settings(home=tmp_path, java_home=given)) == given


def test_without_a_supported_java_the_packaged_one_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fake_java(tmp_path / "old", "11.0.2") / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    home = java_home(Settings(home=tmp_path))
    assert home == tmp_path / "java"
    assert java_version(home) in SUPPORTED
    command = [
        str(home / "bin" / "java"),
        "--add-modules=jdk.incubator.vector",
        "-Dkept=yes",
        "-XshowSettings:properties",
    ]
    printed = subprocess.run([*command, "-version"], capture_output=True, text=True, check=True).stderr
    assert "kept = yes" in printed


def test_a_folder_without_java_has_no_version(tmp_path: Path) -> None:
    assert java_version(tmp_path) is None


def fake_java(home: Path, version: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    program.chmod(0o755)
    return home

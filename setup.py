"""Packages dags/ and mlflow/ into a wheel, as nightshelf/dags/ and nightshelf/mlflow/. pyproject.toml has all else.

A wheel cannot hold mlflow/ under its own name: the files would lie within the real package mlflow.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("dags", "mlflow")


class PackageFolders(build_py):
    """Copies the folders beside the packages. An editable installation finds them in the repository."""

    def run(self) -> None:
        """Build the packages, then copy the folders."""
        super().run()
        if not self.editable_mode:
            for name in FOLDERS:
                target = Path(self.build_lib) / "nightshelf" / name
                shutil.copytree(name, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": PackageFolders})

"""The blocks of code that the README and the pages of docs/ show."""

import re
from pathlib import Path
from typing import Final

from pipeline_tasks.config.settings import REPOSITORY

PAGES: Final = sorted(
    REPOSITORY / name
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/tutorial.md",
        *(f"docs/guides/{guide.name}" for guide in (REPOSITORY / "docs" / "guides").glob("*.md")),
    )
)
"""Pages whose `sh` blocks are run by tests/chain; a block that only a person can run is marked `bash`."""


def shown_blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of one language that a page shows, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)

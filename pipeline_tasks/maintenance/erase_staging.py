"""What lies beside the lake and names users: vectors and manifests in staging, samples in reports and Data Docs."""

import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Final

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.maintenance.old_staging import gate_pages
from pipeline_tasks.quality.gate_index import write_index
from pipeline_tasks.sources.erased import ErasedUsers

_OF_USERS: Final = ("vectors", "shelf-*", "clean.json", "split.json", "recommend.json")
"""Made again by the step that a night would go on with; the manifests name files that are gone now."""


def erase_staging(settings: Settings, source: str, forgotten: ErasedUsers) -> list[str]:
    """Delete what holds users of every night of the source, and each report and page that names a forgotten one.

    Return what went, as paths below `home`. Candidates and models hold no user (models/two_tower/saved_users.py): they
    stay.
    """
    nights = sorted(path for path in (settings.staging / source).glob("*-*-*") if path.is_dir())
    gone = [path for night in nights for pattern in _OF_USERS for path in night.glob(pattern)]
    gone += [path for path in _reports(settings, nights) if _names(forgotten, path.read_text())]
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if gone:
        write_index(settings)
    return [str(path.relative_to(settings.home)) for path in gone]


def _names(forgotten: ErasedUsers, text: str) -> bool:
    # In a page, a tag may stand right beside a sample, whose text is escaped.
    return forgotten.is_named_in(text) or forgotten.is_named_in(unescape(re.sub(r"<[^>]*>", " ", text)))


def _reports(settings: Settings, nights: list[Path]) -> Iterator[Path]:
    for night in nights:
        yield from night.glob("gate_*.json")
    for page in gate_pages(settings, nights):
        if page.path.endswith((".json", ".html")):
            yield Path(page.path)

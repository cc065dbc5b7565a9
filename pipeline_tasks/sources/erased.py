"""Whom a source has forgotten: hashes, by which what the shop delivers again is known without keeping anybody's name.

They lie under ``home/forgotten/<source>.json`` with a salt of the source's own. Whoever reads that file and can list
all keys that there may be can find out which ones were forgotten: keep it as closely as the landing.
"""

import hashlib
import json
import re
import secrets
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import BaseModel, field_serializer

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.atomic_write import write_atomically

SEPARATORS: Final = (r"""[\s,;|"'{}\[\]=]+""", r"""[\s,;|"'{}\[\]=:]+""", r"[^\w.@+-]+")
"""What stands between the words of a record's raw text; a key may itself hold a colon, and JSON puts one before a bare
number. The third is for whatever else a shop separates its values by."""
WHOLE_NUMBER: Final = r"\.0$"
"""What programs write behind a key that is a number (17850.0)."""


class ErasedUsers(BaseModel):
    """The users that a source has forgotten."""

    salt: str = ""
    hashes: frozenset[str] = frozenset()
    decomposed: frozenset[str] = frozenset()
    """The same of those keys that have a decomposed Unicode form (NFD): a broken record may name them so."""

    @field_serializer("hashes", "decomposed")
    def _in_order(self, hashes: frozenset[str]) -> list[str]:
        return sorted(hashes)

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def knows(self, key: str) -> bool:
        """Tell whether the key is a forgotten user's."""
        return bool(self.hashes) and hash_of(self.salt, key) in self.all_hashes

    @property
    def all_hashes(self) -> frozenset[str]:
        """The hashes of every form in which a key may be written."""
        return self.hashes | self.decomposed

    def is_named_in(self, text: str) -> bool:
        """Tell whether a word of a record's raw text, or a value of it where it is JSON, is a forgotten user's key.

        A short key (7) is found wherever the same word stands, be it a price: then more is taken for hers than is.
        """
        words = {word for separator in SEPARATORS for word in re.split(separator, text)} | _values(text)
        return any(self.knows(re.sub(WHOLE_NUMBER, "", word)) for word in words)


def hash_of(salt: str, key: str) -> str:
    """Return what is kept of a key; Spark's ``sha2(concat(salt, key), 256)`` is the same."""
    return hashlib.sha256(f"{salt}{key}".encode()).hexdigest()


def read_erased_users(settings: Settings, source: str) -> ErasedUsers:
    """Return whom the source has forgotten."""
    path = _path(settings, source)
    return ErasedUsers.model_validate_json(path.read_text()) if path.exists() else ErasedUsers()


def remember(settings: Settings, source: str, keys: Iterable[str]) -> ErasedUsers:
    """Add the users to the forgotten ones, and return all; those who are there already change nothing.

    Raises:
        ValueError: a key is empty.
    """
    known = read_erased_users(settings, source)
    salt = known.salt or secrets.token_hex(16)
    given = [unicodedata.normalize("NFC", key.strip()) for key in keys]
    if not all(given):
        raise ValueError("a user_key is empty: name each user as the tables do (SELECT user_key FROM users)")
    parts = {unicodedata.normalize("NFD", key) for key in given} - set(given)
    now = ErasedUsers(
        salt=salt,
        hashes=known.hashes | {hash_of(salt, key) for key in given},
        decomposed=known.decomposed | {hash_of(salt, key) for key in parts},
    )
    if now.hashes != known.hashes:
        path = _path(settings, source)
        write_atomically(path, now.model_dump_json(indent=1))
        path.chmod(0o600)
    return now


def _path(settings: Settings, source: str) -> Path:
    return settings.home / "forgotten" / f"{source}.json"


def _values(text: str) -> set[str]:
    try:
        told = json.loads(text)
    except ValueError:
        return set()
    return {str(value) for value in told.values()} if isinstance(told, dict) else set()

"""Hashes of a source's erased users, by which their records are recognized when the shop delivers them again.

They are kept in ``home/forgotten/<source>.json`` with the source's own salt. Somebody who reads that file and can list
all possible keys can find out which ones were erased: protect it like the landing.
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
from pipeline_tasks.lake.files import write_atomically

SEPARATORS: Final = (r"""[\s,;|"'{}\[\]=]+""", r"""[\s,;|"'{}\[\]=:]+""", r"[^\w.@+-]+")
"""Separators of the words in a record's raw text. A key may contain a colon, and JSON puts one before a bare number.
The third pattern covers any other separator of a shop."""
WHOLE_NUMBER: Final = r"\.0$"
"""Suffix that programs add to a key that is a number (17850.0)."""


class ErasedUsers(BaseModel):
    """The erased users of a source."""

    salt: str = ""
    hashes: frozenset[str] = frozenset()
    decomposed: frozenset[str] = frozenset()
    """Hashes of the decomposed Unicode form (NFD) of those keys that have one; a broken record may contain it."""

    @field_serializer("hashes", "decomposed")
    def _in_order(self, hashes: frozenset[str]) -> list[str]:
        return sorted(hashes)

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def is_erased(self, key: str) -> bool:
        """Return whether the key belongs to an erased user."""
        return bool(self.hashes) and hash_user_key(self.salt, key) in self.all_hashes

    @property
    def all_hashes(self) -> frozenset[str]:
        """Hashes of all written forms of the keys."""
        return self.hashes | self.decomposed

    def is_named_in(self, text: str) -> bool:
        """Return whether a word of a record's raw text, or a value of its JSON object, is the key of an erased user.

        A short key (7) also matches other values, such as a price. Such records are treated as the user's too.
        """
        words = {word for separator in SEPARATORS for word in re.split(separator, text)} | _values(text)
        return any(self.is_erased(re.sub(WHOLE_NUMBER, "", word)) for word in words)


def hash_user_key(salt: str, key: str) -> str:
    """Return the hash of a key; it equals Spark's ``sha2(concat(salt, key), 256)``."""
    return hashlib.sha256(f"{salt}{key}".encode()).hexdigest()


def read_erased_users(settings: Settings, source: str) -> ErasedUsers:
    """Return the erased users of the source."""
    path = _path(settings, source)
    return ErasedUsers.model_validate_json(path.read_text()) if path.exists() else ErasedUsers()


def record_erased_users(settings: Settings, source: str, keys: Iterable[str]) -> ErasedUsers:
    """Add the users to the erased users of the source and return all of them. Known users change nothing.

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
        hashes=known.hashes | {hash_user_key(salt, key) for key in given},
        decomposed=known.decomposed | {hash_user_key(salt, key) for key in parts},
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
        record = json.loads(text)
    except ValueError:
        return set()
    return {str(value) for value in record.values()} if isinstance(record, dict) else set()

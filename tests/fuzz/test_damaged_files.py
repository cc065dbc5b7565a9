"""Files that are damaged as a whole: all records are accounted for, or one line of one error names the file."""

import gzip
import lzma
import zipfile
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fuzz.odd_values import DAY
from tests.spark_jobs.conftest import shop  # noqa: F401 - the fixture
from tests.spark_jobs.one_shop import CLICKS, HEADER, ShopFixture

pytestmark = pytest.mark.spark

LINE = f"{DAY}T09:00:00Z,view,P1,ann,s1,,,"
TEXT = f"{HEADER}\n{LINE}\n"
JSON = '{"time": "2026-11-20T09:00:00Z", "kind": "view", "item": "P1", "who": "ann"}\n'


def zipped(text: str) -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("events.csv", text)
    return content.getvalue()


def parquet(cut: int) -> bytes:
    content = BytesIO()
    columns = {"time": [f"{DAY}T09:00:00Z"], "kind": ["view"], "item": ["P1"], "who": ["ann"]}
    pq.write_table(pa.table(columns), content)
    return content.getvalue()[: cut or None]


DAMAGED: dict[str, tuple[str, bytes]] = {
    "empty csv": ("csv", b""),
    "blank lines": ("csv", b"\n\n  \n"),
    "a mark alone": ("csv", b"\xef\xbb\xbf"),
    "a header alone": ("csv", f"{HEADER}\n".encode()),
    "a header without an end": ("csv", HEADER.encode()),
    "other columns": ("csv", b"a,b\n1,2\n"),
    "a zip": ("csv", zipped(TEXT)),
    "gzip without its name": ("csv", gzip.compress(TEXT.encode())),
    "xz": ("csv", lzma.compress(TEXT.encode())),
    "UTF-16 with a mark": ("csv", TEXT.encode("utf-16")),
    "UTF-16 without a mark": ("csv", TEXT.encode("utf-16-le")),
    "UTF-16 the other way": ("csv", TEXT.encode("utf-16-be")),
    "UTF-32": ("csv", TEXT.encode("utf-32")),
    "zeros": ("csv", b"\0" * 4_000),
    "random bytes": ("csv", bytes(n * 7919 % 251 for n in range(4_000))),
    "a page of HTML": ("csv", b"<!DOCTYPE html><html><body>404, Not Found</body></html>\n"),
    "a pointer of Git LFS": ("csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"),
    "empty gz": ("csv.gz", b""),
    "no gzip at all": ("csv.gz", TEXT.encode()),
    "a cut gzip": ("csv.gz", gzip.compress(TEXT.encode() * 999)[:60]),
    "empty json": ("jsonl", b""),
    "json without objects": ("jsonl", b"[]\n1\nnull\n"),
    "json on many lines": ("jsonl", JSON.replace(", ", ",\n").encode()),
    "json as one array": ("jsonl", f"[{JSON.strip()},\n{JSON.strip()}]\n".encode()),
    "json in UTF-16": ("jsonl", JSON.encode("utf-16-le")),
    "empty parquet": ("parquet", b""),
    "a cut parquet": ("parquet", parquet(-20)),
    "half a parquet": ("parquet", parquet(300)),
    "csv as parquet": ("parquet", TEXT.encode()),
}


def described(shop: ShopFixture, ending: str) -> Path:  # noqa: F811
    form = {"csv": "csv", "csv.gz": "csv", "jsonl": "json", "parquet": "parquet"}[ending]
    toml = CLICKS.replace(".csv", f".{ending}").replace('"csv"', f'"{form}"')
    if form != "csv":
        lines = [
            line for line in toml.splitlines() if not line.startswith(("session_id", "price", "quantity", "query"))
        ]
        toml = "\n".join(lines)
    shop.describe(toml)
    return shop.files / f"events-{DAY}.{ending}"


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_one_line_that_names_it(shop: ShopFixture, what: str) -> None:  # noqa: F811
    ending, content = DAMAGED[what]
    path = described(shop, ending)
    path.write_bytes(content)
    try:
        shop.run()
    except (ValueError, FileNotFoundError) as error:
        message = str(error)
    else:
        outcomes = shop.outcomes()
        assert outcomes.pop("rows_in") == sum(outcomes.values()) > 0
        return
    assert "\n" not in message
    assert len(message) < 1_000
    assert path.name in message or "No events for 2026-11-20" in message or "events.columns" in message


def test_a_good_file_beside_a_damaged_one_lands_nothing_half(shop: ShopFixture) -> None:  # noqa: F811
    shop.describe(CLICKS.replace("events-{ds}.csv", "{ds}/*.csv.gz"))
    folder = shop.files / str(DAY)
    folder.mkdir()
    (folder / "a.csv.gz").write_bytes(gzip.compress(TEXT.encode()))
    whole = gzip.compress(TEXT.replace("P1", "P2").encode() * 9_999)
    (folder / "b.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"b\.csv\.gz"):
        shop.run()
    (folder / "b.csv.gz").unlink()
    shop.run()
    assert shop.outcomes() == {"rows_in": 1, "event": 1}

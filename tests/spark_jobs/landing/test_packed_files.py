"""Packed files, and files of documents, give the same result as files of lines."""

import bz2
import gzip
import io
import json
import zipfile
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from openpyxl import Workbook  # type: ignore[import-untyped]

from pipeline_tasks.sources import packed_files
from pipeline_tasks.sources.sources import SourceError
from tests.spark_jobs.one_shop import CLICKS, DAY, HEADER, ShopFixture

pytestmark = pytest.mark.spark

ROWS = [f"2026-11-20T09:00:0{n}Z,view,P{n},ann,s1,{n},," for n in range(4)]
BAD = "2026-11-20T09:00:00Z,view,P9,ann,s1,cheap,,"


def csv(*rows: str) -> bytes:
    return ("\n".join((HEADER, *rows)) + "\n").encode()


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, "zstd", asbytes=True))


def test_packed_files_are_read_and_named_as_delivered(shop: ShopFixture) -> None:
    hostile = {"..__..__escaped.csv": csv(ROWS[0]), "MACOSX__.DS_Store": b"\x00", "folder__b.csv": csv(ROWS[1], BAD)}
    files = {
        f"a-{DAY}.csv.zip": zipped(**hostile),
        f"b-{DAY}.csv.zst": zstd(csv(ROWS[2])) + zstd(BAD.encode()),
        f"c-{DAY}.csv.gz": gzip.compress(csv(ROWS[3], BAD)),
        f"d-{DAY}.csv.bz2": bz2.compress(csv(BAD)),
    }
    for name, content in files.items():
        (shop.files / name).write_bytes(content)
    shop.describe(CLICKS.replace("events-{ds}.csv", "*-{ds}.csv.*")).run()
    assert shop.outcomes() == {"rows_in": 8, "event": 4, "unparsable_number": 4}
    assert sorted(row["item_id"] for row in shop.rows("events")) == ["P0", "P1", "P2", "P3"]
    assert sorted(row["source_file"] for row in shop.rows("quarantine")) == sorted(str(shop.files / n) for n in files)
    assert not list(shop.files.parent.rglob("escaped.csv"))
    assert not list(shop.files.parent.rglob("unpacked")), "copies are removed"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(a=csv(ROWS[0]))[:-30], r"a\.zip cannot be unpacked: File is not a zip file"),
        (zipped(), r"a\.zip cannot be unpacked: Invalid position"),
        (zipped(folder__=b""), r"a\.zip contains no file: deliver it again"),
        (zipped(a=b"x" * 100_000), r"a\.zip unpacks to more than 200 times its size: .* unpack it by hand"),
    ],
)
def test_an_archive_that_cannot_be_unpacked_is_named(
    shop: ShopFixture, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_files, "_MIN_ALLOWED", 10_000)
    (shop.files / "a.zip").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        shop.describe(CLICKS.replace("events-{ds}.csv", "a.zip")).land()


def test_a_cut_off_zst_is_named(shop: ShopFixture) -> None:
    (shop.files / "a.zst").write_bytes(zstd(csv(*ROWS))[:-9])
    with pytest.raises(SourceError, match=r"a\.zst cannot be read: .*deliver it again"):
        shop.describe(CLICKS.replace("events-{ds}.csv", "a.zst")).land()


EVENTS = """
name = "documents"
[events]
path = "*{ds}*"
format = "json"
[events.columns]
ts = "at"
event_type = "'view'"
item_id = "item"
user_key = "who"
"""


def test_json_documents_are_read_object_by_object(shop: ShopFixture) -> None:
    events = [{"at": "2026-11-20", "item": f"P{n}\n]", "who": {"id": [n]}} for n in range(12)]
    pretty = "\n".join(json.dumps(event, indent=1) for event in events[3:5])
    long = "".join(json.dumps(event | {"more": "x" * 400_000}) for event in events[8:12])
    files = {
        f"a{DAY}.json": json.dumps(events[:3], indent=2).encode(),
        f"b{DAY}.json": pretty.encode("utf-8-sig"),
        f"c{DAY}.json.zip": zipped(a=json.dumps(events[5:6], indent=1).encode(), b=json.dumps(events[6]).encode()),
        f"d{DAY}.json.gz": gzip.compress(f"[{json.dumps(events[7])},\n]\n".encode()),
        f"e{DAY}.json": long.encode(),
    }
    for name, content in files.items():
        (shop.files / name).write_bytes(content)
    shop.describe(EVENTS).run()
    assert shop.outcomes() == {"rows_in": 12, "event": 12}
    assert {row["user_key"] for row in shop.rows("events")} == {f'{{"id":[{n}]}}' for n in range(12)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n{"at": 1},\n{"at": 2', r"is not valid JSON from line 3 on \(Expecting"),
        ('[\n{"at": 1},\n{"at": 2}\n', r"is not valid JSON from line 4 on \(an array is not closed"),
        (
            '[\n{"at": 1},\nxyz]',
            r"is not valid JSON from line 3 on \(this is not an object, at .xyz.*deliver it again",
        ),
    ],
)
def test_a_json_document_that_is_cut_off_names_its_line(shop: ShopFixture, text: str, message: str) -> None:
    (shop.files / f"a{DAY}.json").write_text(text)
    with pytest.raises(SourceError, match=message):
        shop.describe(EVENTS).land()


def test_a_workbook_is_read_as_its_first_sheet_shows(shop: ShopFixture) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(HEADER.split(","))
    sheet.append([datetime(2026, 11, 20, 9), "purchase", 1001, "ann", None, 2.5, 2.0, None, None])
    sheet.append([datetime(2026, 11, 20, 10), "purchase", 'Teller,\n"groß"', 7.0, "s", "cheap", 1])
    sheet.append([None, None])
    sheet.append([datetime(2026, 11, 20, 11), "view", "P1", "bob", "s", 1, 1, "", "beyond the header"])
    book.save(shop.files / f"events-{DAY}.xlsx")
    shop.describe(CLICKS.replace(".csv", ".xlsx").replace('"csv"', '"xlsx"')).run()
    assert [(row["item_id"], row["price"], row["quantity"]) for row in shop.rows("events")] == [("1001", 2.5, 2)]
    refused = {row["rule"]: row for row in shop.rows("quarantine")}
    assert set(refused) == {"unparsable_number", "corrupt_record"}
    assert json.loads(refused["unparsable_number"]["raw"])["item"] == 'Teller, "groß"'
    assert Path(refused["corrupt_record"]["source_file"]).name == f"events-{DAY}.xlsx"

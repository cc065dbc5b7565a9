"""Writes records as lines of CSV, JSON or text, some of them with faults of their form."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.fuzz.odd_values import COLUMNS, Expected, Record


@dataclass
class Unit:
    """What stands in a file as one piece: a line as a rule."""

    raw: bytes
    records: list[Record] = field(default_factory=list)
    nameless: tuple[int, int] = (0, 0)
    """The fewest and the most rows that it holds beside the records. They have no mark, and none is an event."""
    may_be_whole: bool = False
    """Whether all of it may be refused as one row."""

    @property
    def copies(self) -> int:
        """How many times it stands in the file."""
        return self.records[0].copies if self.records else 1


@dataclass(frozen=True)
class CsvForm:
    """How the lines of a CSV file are written."""

    sep: str = ","
    quote: str = '"'
    doubled: bool = False
    """Whether a quote within a value is doubled, and the file is read so (`escape`)."""
    encoding: str = "utf-8"
    end: str = "\n"
    multi_line: bool = False
    free: bool = False
    """Whether a line may have fewer values than there are columns."""


def csv_unit(draw: random.Random, form: CsvForm, record: Record, faults: float) -> Unit:
    """Return the record's line, with a share `faults` of faults in its form."""
    if form.multi_line and draw.random() < faults:
        record.values["words"] = draw.choice(('two\nlines, "quoted"', "\n", "a\r\nb", '"'))
    cells = [_cell(form, record, record.values[name]) for name in COLUMNS]
    line = form.sep.join(cells)
    unit = Unit(b"", [record])
    if draw.random() < faults and not form.multi_line:
        line = draw.choice(_CSV_FAULTS)(draw, form, unit, cells)
    unit.raw = _encoded(line, form.encoding) if not unit.raw else unit.raw
    return unit


def _cell(form: CsvForm, record: Record, value: object) -> str:
    text = str(value)
    if form.encoding != "utf-8" and text != text.encode(form.encoding, "replace").decode(form.encoding):
        text = "x"
        record.worse(Expected.EITHER)
    if not form.quote:
        return text.replace(form.sep, "_")
    if form.sep in text or form.quote in text or (form.multi_line and "\n" in text):
        if form.doubled:
            return form.quote + text.replace(form.quote, form.quote * 2) + form.quote
        if form.quote in text or "\\" in text:
            record.worse(Expected.EITHER)
        return form.quote + text + form.quote
    return text


def _encoded(line: str, encoding: str) -> bytes:
    return line.encode(encoding, "replace")


def _cut(draw: random.Random, form: CsvForm, unit: Unit, cells: Sequence[str]) -> str:
    _broken(form, unit.records[0])
    return form.sep.join(cells[: draw.randrange(1, len(cells) - 1)])


def _broken(form: CsvForm, record: Record) -> None:
    """Take note of a line that ends early: it is refused, but where values may be missing, an odd one may be gone."""
    if form.free and record.expected == Expected.REFUSED:
        record.expected = Expected.EITHER
    record.worse(Expected.EITHER if form.free else Expected.REFUSED)


def _replaced(record: Record) -> None:
    """Take note of a fault within a value: it may be the one that made the record refused."""
    if record.expected == Expected.REFUSED:
        record.expected = Expected.EITHER
    record.worse(Expected.EITHER)


def _longer(draw: random.Random, form: CsvForm, unit: Unit, cells: Sequence[str]) -> str:
    unit.records[0].worse(Expected.EITHER)
    return form.sep.join([*cells, *["more"] * draw.randrange(1, 4)])


def _open_quote(draw: random.Random, form: CsvForm, unit: Unit, cells: Sequence[str]) -> str:
    _replaced(unit.records[0])
    place = draw.randrange(1, len(cells))
    return form.sep.join([*cells[:place], (form.quote or '"') + cells[place], *cells[place + 1 :]])


def _bad_bytes(draw: random.Random, form: CsvForm, unit: Unit, cells: Sequence[str]) -> str:
    line = form.sep.join(cells)
    if form.encoding == "utf-8":
        unit.records[0].worse(Expected.REFUSED)
        unit.raw = line.encode() + draw.choice((b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80"))
    else:
        # 0x81 is no character of windows-1252; in ISO-8859-1 every byte is one.
        unit.records[0].worse(Expected.EITHER)
        unit.raw = _encoded(line, form.encoding) + b"\x81"
    return line


def _carriage_return(draw: random.Random, form: CsvForm, unit: Unit, cells: Sequence[str]) -> str:
    _broken(form, unit.records[0])
    unit.nameless = (1, 1)
    place = draw.randrange(1, len(cells) - 1)
    return form.sep.join(cells[:place]) + "\r" + "_" + form.sep.join(cells[place:])


def _zeros(draw: random.Random, form: CsvForm, unit: Unit, cells: Sequence[str]) -> str:
    _replaced(unit.records[0])
    place = draw.randrange(2, len(cells))
    return form.sep.join([*cells[:place], cells[place] + "\0\0", *cells[place + 1 :]])


_CSV_FAULTS: Final[tuple[Callable[[random.Random, CsvForm, Unit, Sequence[str]], str], ...]] = (
    _cut,
    _cut,
    _longer,
    _open_quote,
    _bad_bytes,
    _carriage_return,
    _zeros,
)


def nameless_csv(draw: random.Random, form: CsvForm, header: str) -> Unit:
    """Return a line that is no record of a shop's: counted and refused, or no row at all where it is blank."""
    rows: tuple[tuple[str, int], ...] = (
        ("", 0),
        ("   ", 0),
        (header, 0),
        (form.sep * (len(COLUMNS) - 1), 1),
        ("\t" if form.sep != "\t" else "-", 1),
        ("# comment", 1),
        ("\0\0\0", 1),
        ("null", 1),
        ("\\", 1),
        ("{}", 1),
        ("-- 1234 rows --", 1),
        ("x" * (1 << 20) + "y", 1),
    )
    text, count = draw.choice(rows if draw.random() < 0.1 else rows[:-1])
    return Unit(_encoded(text, form.encoding), [], (count, count))


def json_text(record: Record, **more: object) -> str:
    return json.dumps(record.values | more, ensure_ascii=False)


def json_unit(draw: random.Random, records: Sequence[Record], faults: float) -> Unit:
    """Return a line of one object or, of several records, one of several objects or an array."""
    if len(records) > 1:
        return Unit(_several(draw, records).encode(), list(records), may_be_whole=True)
    [record] = records
    unit = Unit(b"", [record])
    if draw.random() < faults:
        fault = draw.choice((*_JSON_FAULTS, *_JSON_REPLACED))
        text, worst = fault(draw, record)
        if fault in _JSON_REPLACED and record.expected == Expected.REFUSED:
            # What made it refused may be what was replaced.
            record.expected = worst
        record.worse(worst)
        # What stands behind the object may be refused with it, or be a row of its own.
        unit.nameless = (0, 1)
    else:
        text = json_text(record)
    unit.raw = text.encode("utf-8", "surrogatepass")
    return unit


def _several(draw: random.Random, records: Sequence[Record]) -> str:
    texts = [json_text(record) for record in records]
    between = draw.choice(("", "", " ", ",", "\t"))
    if between == "," or draw.random() < 0.3:
        return f"[{','.join(texts)}]"
    return between.join(texts)


_JSON_FAULTS: Final[tuple[Callable[[random.Random, Record], tuple[str, Expected]], ...]] = (
    lambda draw, record: (json_text(record)[: draw.randrange(25, 60)], Expected.REFUSED),
    lambda draw, record: (json_text(record) + draw.choice((",", "x", "}", "]", " {", "null")), Expected.EITHER),
    lambda draw, record: (json_text(record).replace("}", ",}"), Expected.EITHER),
    lambda draw, record: (json_text(record).replace('"', "'"), Expected.EITHER),
    lambda draw, record: (json_text(record).replace('"item":', "item:"), Expected.EITHER),
    lambda draw, record: (json_text(record, kind=None), Expected.REFUSED),
    lambda draw, record: (json_text(record, time={}), Expected.REFUSED),
    lambda draw, record: (json_text(record, time=[]), Expected.REFUSED),
    lambda draw, record: (
        json_text(record).replace('"words"', f'"deep": {"[" * 1_200}{"]" * 1_200}, "words"'),
        Expected.EITHER,
    ),
    lambda draw, record: (json_text(record).replace('"words": "', '"words": "\\ud800\\u0000'), Expected.EITHER),
    lambda draw, record: (json_text(record).replace('"words": "', '"words": "\x01\x02'), Expected.EITHER),
    lambda draw, record: ("\ufeff" + json_text(record), Expected.EITHER),
    lambda draw, record: (json_text(record) + " // seen", Expected.EITHER),
    lambda draw, record: (json_text(record, **{"a.b": 1, "": 2, "x y": 3, "`": 4, "ünï": 5}), Expected.EITHER),
    lambda draw, record: (json.dumps([record.values]), Expected.EITHER),
    lambda draw, record: (json.dumps(json_text(record)), Expected.EITHER),
    lambda draw, record: (json_text(record) + "\r" + "{}", Expected.EITHER),
)

_JSON_REPLACED: Final[tuple[Callable[[random.Random, Record], tuple[str, Expected]], ...]] = (
    lambda draw, record: (json_text(record).replace("{", '{"item": "Q1", ', 1), Expected.EITHER),
    lambda draw, record: (json_text(record, item={"id": [1, 2, {"x": None}]}), Expected.EITHER),
    lambda draw, record: (json_text(record, item=12345678901234567890123), Expected.EITHER),
    lambda draw, record: (json_text(record, price=float("inf")), Expected.EITHER),
    lambda draw, record: (json_text(record, price=True), Expected.EITHER),
    lambda draw, record: (json_text(record, words="[" * 2_000), Expected.EITHER),
    lambda draw, record: (json_text(record).replace('"units": "', '"units": 1e999, "v": "'), Expected.EITHER),
    lambda draw, record: (json_text(record).replace('"units": "', '"units": 007, "v": "'), Expected.EITHER),
)
"""Faults that put another value in the place of one that may have been odd."""


def nameless_json(draw: random.Random) -> Unit:
    """Return a line without a record: refused, or no row at all where it is blank."""
    rows: tuple[tuple[str, int, int], ...] = (
        ("", 0, 0),
        ("  ", 0, 0),
        ("{}", 1, 1),
        ("[]", 0, 1),
        ("null", 1, 1),
        ("0", 1, 1),
        ('"text"', 1, 1),
        ("}{", 1, 2),
        ("\0", 1, 1),
        ("nonsense", 1, 1),
        ("[[1, 2], [3]]", 1, 2),
    )
    text, least, most = draw.choice(rows)
    return Unit(text.encode(), [], (least, most))

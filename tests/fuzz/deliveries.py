"""Deliveries of a small shop in every format: the TOML, the files of three days, and what must become of a record."""

import gzip
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from tests.fuzz.lines import CsvForm, Unit, csv_unit, json_unit, nameless_csv, nameless_json
from tests.fuzz.odd_values import COLUMNS, DAY, DAYS, Record, draw_record
from tests.fuzz.parquet_files import write_parquet

BROKEN: Final = 0.35
"""Share of records with an odd value; as many again may have a fault of form."""
FAULTS: Final = 0.15
NEEDED: Final = "x999999"
"""Ends the mark of the record that shows the columns and without which the run has no event."""

MAPPING: Final = """
[events.columns]
ts = "time"
event_type = "kind"
item_id = "item"
user_key = "who"
session_id = "visit"
price = "price"
quantity = "units"
query = "words"
arm = "mark"
[rules]
on = ["exact_duplicates"]
"""


@dataclass(frozen=True)
class Shape:
    """A kind of delivery."""

    name: str
    path: str
    form: str
    """Lines of the TOML's [events]."""
    csv: CsvForm | None = None
    head: bytes = b""
    mapping: str = MAPPING

    @property
    def toml(self) -> str:
        return f'name = "fuzz"\n[events]\npath = "{self.path}"\n{self.form}\n{self.mapping}'

    @property
    def dated(self) -> bool:
        return "{ds}" in self.path


@dataclass
class Delivery:
    """Files of a shape, by day, as the units that they are written from."""

    shape: Shape
    days: dict[date, list[Unit]] = field(default_factory=dict)

    def units(self) -> Iterator[Unit]:
        for units in self.days.values():
            yield from units

    def only(self, kept: Sequence[Unit]) -> "Delivery":
        """Return a delivery of some of the units, and of those without which no run is possible."""
        chosen = {id(unit) for unit in self.units() if any(record.mark.endswith(NEEDED) for record in unit.records)}
        chosen |= set(map(id, kept))
        return Delivery(self.shape, {day: [u for u in units if id(u) in chosen] for day, units in self.days.items()})

    def write(self, folder: Path) -> None:
        """Write the files and the TOML."""
        (folder / "shop.toml").write_text(self.shape.toml)
        if self.shape.dated:
            for day, units in self.days.items():
                if not units:
                    continue
                self._write_file(folder / self.shape.path.replace("{ds}", day.isoformat()), units)
        else:
            self._write_file(folder / self.shape.path, list(self.units()))

    def _write_file(self, path: Path, units: Sequence[Unit]) -> None:
        if path.suffix == ".parquet":
            write_parquet(path, [record for unit in units for record in unit.records for _ in range(record.copies)])
            return
        end = (self.shape.csv.end if self.shape.csv else "\n").encode()
        content = self.shape.head + b"".join((unit.raw + end) * unit.copies for unit in units)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def _csv(name: str, form: CsvForm, path: str, options: str, mark: bool = False) -> Shape:
    header = form.sep.join(COLUMNS) + form.end
    head = ("\ufeff" if mark else "") + header
    return Shape(name, path, f'format = "csv"\noptions = {{ {options} }}', form, head.encode())


DOUBLED: Final = CsvForm(doubled=True)


def _by_place(mapping: str) -> str:
    """Return a mapping of lines of text whose values stand between bars."""
    for place, column in enumerate(COLUMNS):
        mapping = mapping.replace(f'"{column}"', f"\"split(value, '[|]')[{place}]\"")
    return mapping


SHAPES: Final = (
    _csv("comma", DOUBLED, "log-{ds}.csv", "escape = '\"'"),
    _csv("backslash", CsvForm(), "log {ds}.csv.gz", 'sep = ","'),
    _csv(
        "excel",
        CsvForm(";", doubled=True, encoding="windows-1252", end="\r\n"),
        "Öl {ds}.csv",
        "sep = ';', escape = '\"', encoding = 'windows-1252'",
    ),
    _csv("tabs", CsvForm("\t", "'"), "all.tsv", 'sep = "\\t", quote = "\'"', mark=True),
    _csv("bars", CsvForm("||", ""), "log-{ds}.txt", 'sep = "||", quote = ""'),
    _csv("lines", CsvForm(doubled=True, multi_line=True), "log-{ds}.csv", 'escape = \'"\', multiLine = "true"'),
    Shape(
        "headless",
        "all.csv",
        f"format = \"csv\"\nfields = {list(COLUMNS)}\noptions = {{ header = 'false', sep = '^' }}",
        CsvForm("^"),
    ),
    Shape("json", "log-{ds}.jsonl", 'format = "json"'),
    Shape("packed", "log-{ds}.json.gz", f'format = "json"\nfields = {list(COLUMNS)}'),
    Shape("growing", "all.json", f'format = "json"\nfields = {list(COLUMNS)}'),
    Shape("text", "log-{ds}.log", 'format = "text"', CsvForm("|", "", free=True), mapping=_by_place(MAPPING)),
    Shape("parquet", "log-{ds}.parquet", 'format = "parquet"'),
)


def make_delivery(seed: int, number: int, count: int) -> Delivery:
    """Return the delivery of a number, its records drawn from the seed alone."""
    draw = random.Random(f"{seed} {number}")
    shape = SHAPES[number % len(SHAPES)]
    delivery = Delivery(shape, {day: [] for day in DAYS})
    per_day = count // len(DAYS)
    for place, day in enumerate(DAYS):
        marks = (f"m{number:03d}x{place}{n:05d}" for n in range(per_day))
        records = [draw_record(draw, mark, day, slot, BROKEN) for slot, mark in enumerate(marks)]
        delivery.days[day] = list(_units(draw, shape, records))
        draw.shuffle(delivery.days[day])
    # The run needs an event of its own, and a file that shows its columns.
    delivery.days[DAY].append(_sane(shape, number))
    return delivery


def _sane(shape: Shape, number: int) -> Unit:
    draw = random.Random(number)
    return _unit(draw, shape, [draw_record(draw, f"m{number:03d}{NEEDED}", DAY, 10_000, 0)], 0)


def _units(draw: random.Random, shape: Shape, records: Sequence[Record]) -> Iterator[Unit]:
    left = list(records)
    while left:
        size = draw.choice((1, 1, 1, 1, 2, 3, 5)) if _is_json(shape) and draw.random() < 0.1 else 1
        taken, left = left[:size], left[size:]
        unit = _unit(draw, shape, taken, FAULTS)
        yield unit
        if draw.random() < 0.03 and size == 1 and unit.nameless == (0, 0):
            unit.records[0].copies = draw.choice((2, 2, 3))
        if draw.random() < 0.02 and (extra := _nameless(draw, shape)):
            yield extra


def _is_json(shape: Shape) -> bool:
    return 'format = "json"' in shape.form


def _unit(draw: random.Random, shape: Shape, records: Sequence[Record], faults: float) -> Unit:
    if _is_json(shape):
        return json_unit(draw, records, faults)
    if shape.csv is None:
        return Unit(b"", list(records))
    return csv_unit(draw, shape.csv, records[0], faults)


def _nameless(draw: random.Random, shape: Shape) -> Unit | None:
    if _is_json(shape):
        return nameless_json(draw)
    if shape.csv is None or shape.csv.multi_line:
        return None
    return nameless_csv(draw, shape.csv, shape.head.decode().strip("\ufeff\r\n"))

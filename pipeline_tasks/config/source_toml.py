"""The TOML form in which a shop describes its files, as validated models (docs/guides/own-log.md shows an example)."""

from datetime import date
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from pipeline_tasks.config.settings import HIGHEST_PRICE, MOST_WAITING_DAYS, SplitStrategy
from pipeline_tasks.times import zone_names

Rule = Literal[
    "known_user",
    "positive_quantity",
    "positive_price",
    "service_codes",
    "cancellations",
    "exact_duplicates",
    "near_duplicates",
    "bots",
]
"""Cleaning rules that a source or a run can switch. Rules of the contract itself (a time, an item, a known event type,
valid numbers) are always on."""

Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A Spark SQL expression over the columns of the file."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _is_unset(value: str | None) -> bool:
    return value is None


class EventColumns(_Section):
    """One expression per column of `events`."""

    ts: Expression
    event_type: Expression
    item_id: Expression
    user_key: Expression | None = None
    session_id: Expression | None = None
    query: Expression | None = None
    dwell_seconds: Expression | None = None
    price: Expression | None = None
    quantity: Expression | None = None
    position: Expression | None = None
    arm: Expression | None = None
    currency: Expression | None = Field(None, exclude_if=_is_unset)
    """Code of the price's currency, where a log has several: `[currencies]` holds their rates."""
    rating: Expression | None = Field(None, exclude_if=_is_unset)
    """Left out of the written form where it is unset, so that days of a source without ratings keep their digest and
    are not cleaned again."""


class ItemColumns(_Section):
    """One expression per column of `items`."""

    item_id: Expression
    title: Expression | None = None
    category: Expression | None = None
    brand: Expression | None = None
    price: Expression | None = None
    currency: Expression | None = Field(None, exclude_if=_is_unset)
    """As in `EventColumns`."""
    updated_at: Expression | None = Field(None, exclude_if=_is_unset)
    """When the record was written. Of several records of one item the newest counts. None: the last one of the file."""


class UserColumns(_Section):
    """One expression per column of `users`."""

    user_key: Expression
    updated_at: Expression | None = Field(None, exclude_if=_is_unset)
    """As in `ItemColumns`."""


class FileForm(_Section):
    """How to read the files of one kind of record."""

    path: str | None = None
    """Path below the source's folder; `{ds}` is the day of delivery, `*` any name. None: records are in the events."""
    format: Literal["csv", "json", "parquet", "text", "xlsx"] = "parquet"
    """Columns of csv, json and xlsx are text, also nested values of json. The format text has one column, `value`. Of a
    workbook (xlsx), the first sheet is read. JSON may be a sequence or arrays of objects. Files may be compressed: .gz,
    .bz2, .zst and .zip; all files of a zip archive are read."""
    options: dict[str, str] = {}
    """csv: sep, quote, escape, header (true), multiLine (quoted values contain line ends); csv, json, text: encoding.
    Other options are passed to Spark's parser."""
    fields: list[str] | None = None
    """Names of the file's columns, where it has no header or its first lines do not contain all columns."""
    select: list[Expression] = []
    """Columns that are computed first, with at most one generator; `*` keeps the file's own columns. Where `path`
    contains the day, a window function covers the files of one day of delivery, even if several days are landed
    together. Else it covers all files as of their landing."""
    where: Expression | None = None
    """Condition for rows that are records of this kind; other rows are counted and skipped."""


class EventForm(FileForm):
    """Files of events."""

    path: str
    columns: EventColumns


class ItemForm(FileForm):
    """Files of the catalog, or expressions over the events when `path` is None."""

    columns: ItemColumns
    attributes: dict[str, Expression] = {}


class UserForm(FileForm):
    """Files of users, or expressions over the events when `path` is None."""

    columns: UserColumns
    attributes: dict[str, Expression] = {}


class Rules(_Section):
    """Rules that are on, and their parameters for this shop."""

    on: list[Rule] = [
        "positive_quantity",
        "service_codes",
        "cancellations",
        "exact_duplicates",
        "near_duplicates",
        "bots",
    ]
    service_codes: list[str] = []
    """Regular expressions. An id that fully matches one is a service (postage, fees), not an item."""
    earliest: date = date(1995, 1, 1)
    """An event before this day has an impossible time."""
    late_days: int = Field(7, ge=0)
    """Number of days after its day within which an event may be delivered, where files name their day of delivery."""
    waiting_days: int = Field(1, ge=0, le=MOST_WAITING_DAYS)
    """Number of days that an event may be later than its file's day. It waits for the run of its own day. A later time
    is impossible. A file's day is the one in its name, else the later of its last change and the run's date."""
    highest_price: float = Field(1_000_000.0, gt=0, le=HIGHEST_PRICE)
    """A price above it is impossible."""


class Currencies(_Section):
    """Exchange rates into one currency."""

    base: Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, min_length=1)]
    """The currency into which all prices are converted."""
    rates: dict[Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True)], Annotated[float, Field(gt=0)]]
    """Value of one unit of each other currency in `base`. A price in a currency without a rate is refused."""


class Source(_Section):
    """The description of a shop's log."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    about: str = ""
    path: str = "."
    """Folder or object-store prefix; relative to the TOML file, `{home}` is `settings.home`."""
    get: str = ""
    """Where to get the files, for the message when they are missing."""
    simulated: bool = False
    """Whether landing generates the files itself."""
    timezone: str | None = None
    """Time zone of the shop, such as America/Los_Angeles. `ds` is a day of this zone, and times without an offset are
    read in it. None is UTC."""
    split_strategy: SplitStrategy | None = None
    """Default strategy of this source. None: the settings decide."""
    decimal: Literal[".", ","] | None = Field(None, exclude_if=_is_unset)
    """Decimal mark of numbers that are text. None: a point, and a number that a decimal comma would change (1,234) is
    refused."""
    currencies: Currencies | None = Field(None, exclude_if=_is_unset)
    """Rates for `columns.currency`."""
    events: EventForm
    items: ItemForm | None = None
    users: UserForm | None = None
    rules: Rules = Rules()

    @property
    def where_to_get(self) -> str:
        """Text about the origin of the files, for the message when they are missing."""
        return self.get or "the TOML does not name it (get = …)"

    @field_validator("timezone")
    @classmethod
    def _require_time_zone(cls, name: str | None) -> str | None:
        if name is None or name in zone_names():
            return name
        near = get_close_matches(name, zone_names(), n=3, cutoff=0.6)
        meant = f"did you mean {', '.join(near)}?" if near else "write a name such as Europe/Berlin"
        raise ValueError(f"{name!r} is not a time zone: {meant}")

    @model_validator(mode="after")
    def _currencies_have_rates(self) -> "Source":
        for kind, form in (("events", self.events), ("items", self.items)):
            if form is not None and form.columns.currency and self.currencies is None:
                raise ValueError(
                    f'{kind}.columns.currency needs rates: add [currencies] with base = "EUR" and '
                    f"rates = {{ USD = 0.92 }}, or exclude other currencies with {kind}.where"
                )
        return self

    @model_validator(mode="after")
    def _reject_file_options_without_a_path(self) -> "Source":
        for kind, form in (("items", self.items), ("users", self.users)):
            if form is None or form.path is not None:
                continue
            if form.select or form.fields or form.options:
                raise ValueError(
                    f"[{kind}] has no path, so it reads the rows of [events]: remove select, fields, options"
                )
            if form.columns.updated_at:
                raise ValueError(f"[{kind}] has no path, so it reads the rows of [events]: remove columns.updated_at")
        return self

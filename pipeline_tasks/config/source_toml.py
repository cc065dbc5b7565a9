"""The TOML form in which a shop describes its files, as validated models (docs/guides/own-log.md shows an example)."""

from datetime import date
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from pipeline_tasks.config.settings import SplitStrategy
from pipeline_tasks.config.value_bounds import HIGHEST_PRICE, MOST_WAITING_DAYS
from pipeline_tasks.local_days import zone_names

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
"""Rules of cleaning that a source or a run may switch. What the contract itself demands (a time, an item, a known
event type, numbers that are numbers) is always on."""

Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A Spark SQL expression over the columns of the file."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _not_said(value: str | None) -> bool:
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
    currency: Expression | None = Field(None, exclude_if=_not_said)
    """Code of the price's currency, where a log has several: `[currencies]` holds their rates."""
    rating: Expression | None = Field(None, exclude_if=_not_said)
    """Left out of what is written where it is not said: the days of a source that maps none are not cleaned again for
    a key that is newer than they are."""


class ItemColumns(_Section):
    """One expression per column of `items`."""

    item_id: Expression
    title: Expression | None = None
    category: Expression | None = None
    brand: Expression | None = None
    price: Expression | None = None
    currency: Expression | None = Field(None, exclude_if=_not_said)
    """As of events."""
    updated_at: Expression | None = Field(None, exclude_if=_not_said)
    """When the record was written: of several of one item the newest counts. None: the last of the file."""


class UserColumns(_Section):
    """One expression per column of `users`."""

    user_key: Expression
    updated_at: Expression | None = Field(None, exclude_if=_not_said)
    """As of items."""


class FileForm(_Section):
    """How to read the files of one kind of record."""

    path: str | None = None
    """Below the source's folder; `{ds}` is the day of delivery, `*` any name. None: the records lie in the events."""
    format: Literal["csv", "json", "parquet", "text", "xlsx"] = "parquet"
    """Columns of csv, json and xlsx are text, as is what is nested in json; of text, there is one: `value`. Of a
    workbook (xlsx), the first sheet is read. JSON may be objects one after another, or in arrays. Files may be packed:
    .gz, .bz2, .zst and .zip, of which all files are read."""
    options: dict[str, str] = {}
    """csv: sep, quote, escape, header (true), multiLine (quoted values hold line ends); csv, json, text: encoding;
    further ones go to Spark's parser."""
    fields: list[str] | None = None
    """Names of the file's columns, where it has no header or its first lines do not show all."""
    select: list[Expression] = []
    """Columns to make before anything else, at most one generator among them; `*` keeps the file's own. A window
    function sees the files of one day of delivery where `path` names the day, however many days are landed together;
    else all of the files, as they are when they are landed."""
    where: Expression | None = None
    """Which rows are records of this kind at all; others are counted and left where they are."""


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
    """Which rules are on, and what they need to know of the shop."""

    on: list[Rule] = [
        "positive_quantity",
        "service_codes",
        "cancellations",
        "exact_duplicates",
        "near_duplicates",
        "bots",
    ]
    service_codes: list[str] = []
    """Regular expressions; an item whose whole id matches one is a service (postage, fees), not an item."""
    earliest: date = date(1995, 1, 1)
    """An event before this day has an impossible time."""
    late_days: int = Field(7, ge=0)
    """How many days after its day an event may be delivered, where files name their day of delivery."""
    waiting_days: int = Field(1, ge=0, le=MOST_WAITING_DAYS)
    """How many days after its file's day an event may happen: it waits for the night of its own day. A later time is
    impossible. A file's day is the one that it names, else the day of its last change, or the night's if that is later.
    """
    highest_price: float = Field(1_000_000.0, gt=0, le=HIGHEST_PRICE)
    """A price above it is impossible."""


class Currencies(_Section):
    """What prices in several currencies are worth in one."""

    base: Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True, min_length=1)]
    """The currency that all prices are turned into."""
    rates: dict[Annotated[str, StringConstraints(strip_whitespace=True, to_upper=True)], Annotated[float, Field(gt=0)]]
    """What one unit of each other currency is worth in `base`; a price in a currency without a rate is refused."""


class Source(_Section):
    """A shop's log."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    about: str = ""
    path: str = "."
    """Folder or object-store prefix; relative to the TOML file, `{home}` is `settings.home`."""
    get: str = ""
    """Where to get the files, said when they are missing."""
    simulated: bool = False
    """Whether landing makes the files itself."""
    timezone: str | None = None
    """Zone of the shop's clock, such as America/Los_Angeles: its day is `ds`, and times without an offset are read in
    it. None is UTC."""
    split_strategy: SplitStrategy | None = None
    """Default of this source; None leaves it to the settings."""
    decimal: Literal[".", ","] | None = Field(None, exclude_if=_not_said)
    """The mark before the fraction of numbers that are text. None: a point, and a number that would be another one by
    a comma (1,234) is refused."""
    currencies: Currencies | None = Field(None, exclude_if=_not_said)
    """Rates for `columns.currency`."""
    events: EventForm
    items: ItemForm | None = None
    users: UserForm | None = None
    rules: Rules = Rules()

    @property
    def where_to_get(self) -> str:
        """What is said of missing files."""
        return self.get or "the TOML does not say (get = …)"

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        if name is None or name in zone_names():
            return name
        near = get_close_matches(name, zone_names(), n=3, cutoff=0.6)
        meant = f"did you mean {', '.join(near)}?" if near else "write a name such as Europe/Berlin"
        raise ValueError(f"{name!r} is no time zone: {meant}")

    @model_validator(mode="after")
    def _currencies_have_rates(self) -> "Source":
        for kind, form in (("events", self.events), ("items", self.items)):
            if form is not None and form.columns.currency and self.currencies is None:
                raise ValueError(
                    f'{kind}.columns.currency needs rates: add [currencies] with base = "EUR" and '
                    f"rates = {{ USD = 0.92 }}, or leave other currencies out by {kind}.where"
                )
        return self

    @model_validator(mode="after")
    def _only_catalogs_lie_within_events(self) -> "Source":
        for kind, form in (("items", self.items), ("users", self.users)):
            if form is None or form.path is not None:
                continue
            if form.select or form.fields or form.options:
                raise ValueError(
                    f"[{kind}] has no path, so it reads the rows of [events]: drop select, fields, options"
                )
            if form.columns.updated_at:
                raise ValueError(
                    f"[{kind}] has no path, so it is described by the rows of [events]: drop columns.updated_at"
                )
        return self

"""The Iceberg catalog: how it is opened, one consistent state of several tables, and the facts of a snapshot."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot
from sqlalchemy import select
from sqlalchemy.orm import Session

from pipeline_tasks.config.settings import Settings

_PREFIX: Final = "nightshelf."
Identifier = tuple[str, str]
"""Source and table."""
Loader = Callable[[], IcebergTable]
_ATTEMPTS: Final = 20
"""Attempts to load all tables one after another without a commit in between."""


def open_catalog(settings: Settings) -> Catalog:
    """Open the Iceberg catalog of the settings, by default SQLite under `home`."""
    warehouse = settings.lake_warehouse or f"file://{settings.home.resolve() / 'lake'}"
    properties = {"warehouse": warehouse, **settings.lake_catalog_properties}
    if "type" in properties:
        return load_catalog("nightshelf", **properties)
    if settings.lake_catalog_uri is not None:
        return SqlCatalog("nightshelf", uri=settings.lake_catalog_uri.get_secret_value(), **properties)
    folder = settings.home.resolve() / "lake"
    folder.mkdir(parents=True, exist_ok=True)
    return SqlCatalog("nightshelf", uri=f"sqlite:///{folder / 'catalog.db'}", **properties)


def as_properties(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the facts as snapshot properties."""
    return {f"{_PREFIX}{name}": value for name, value in facts.items()}


def facts_of(snapshot: Snapshot) -> dict[str, str]:
    """Return the facts of a snapshot."""
    properties = snapshot.summary.additional_properties if snapshot.summary else {}
    return {name.removeprefix(_PREFIX): value for name, value in properties.items() if name.startswith(_PREFIX)}


class CatalogState:
    """Tables as they were at one point in time; later commits are not visible."""

    def __init__(self, tables: Mapping[Identifier, IcebergTable | Loader]) -> None:
        self._tables = dict(tables)

    def table(self, identifier: Identifier) -> IcebergTable | None:
        """Return the table, or None where it did not exist. A loader is called on first use."""
        found = self._tables.get(identifier)
        if callable(found):
            found = self._tables[identifier] = found()
        return found


def read_state(catalog: Catalog, identifiers: Collection[Identifier]) -> CatalogState:
    """Return the current state of the tables.

    A SQL catalog needs one query. Any other catalog is read repeatedly until two rounds agree.

    Raises:
        TimeoutError: the tables changed between all rounds.
    """
    if isinstance(catalog, SqlCatalog):
        return CatalogState(_loaders(catalog, identifiers))
    before = _load_all(catalog, identifiers)
    for _ in range(_ATTEMPTS):
        now = _load_all(catalog, identifiers)
        if _locations(now) == _locations(before):
            return CatalogState(now)
        before = now
    raise TimeoutError(
        f"The tables of {', '.join(sorted({source for source, _ in identifiers}))} changed during each of {_ATTEMPTS} "
        "attempts to read a consistent state: read them again later"
    )


def _loaders(catalog: SqlCatalog, identifiers: Collection[Identifier]) -> dict[Identifier, Loader]:
    """Return a loader for each table. Loading later is safe, because a metadata file never changes."""
    wanted, sources = set(identifiers), {source for source, _ in identifiers}
    query = select(IcebergTables).where(
        IcebergTables.catalog_name == catalog.name, IcebergTables.table_namespace.in_(sources)
    )
    type_filter = catalog._iceberg_type_filter()
    with Session(catalog.engine) as session:
        found = session.scalars(query if type_filter is None else query.where(type_filter)).all()
    rows = {(row.table_namespace, row.table_name): row for row in found}
    return {one: partial(catalog._convert_orm_to_iceberg, row) for one, row in rows.items() if one in wanted}


def _load_all(catalog: Catalog, identifiers: Collection[Identifier]) -> dict[Identifier, IcebergTable]:
    found = {}
    for identifier in identifiers:
        try:
            found[identifier] = catalog.load_table(identifier)
        except NoSuchTableError:
            continue
    return found


def _locations(tables: Mapping[Identifier, IcebergTable]) -> dict[Identifier, str]:
    return {identifier: table.metadata_location for identifier, table in tables.items()}

"""The tables of a catalog as they are at one moment: what a reader of several tables needs."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table as IcebergTable
from sqlalchemy import select
from sqlalchemy.orm import Session

Identifier = tuple[str, str]
"""Source and table."""
Loader = Callable[[], IcebergTable]
_ATTEMPTS: Final = 20
"""To load tables one after another without a commit in between."""


class CatalogState:
    """Tables as they were at one moment: commits that follow are not seen."""

    def __init__(self, tables: Mapping[Identifier, IcebergTable | Loader]) -> None:
        self._tables = dict(tables)

    def table(self, identifier: Identifier) -> IcebergTable | None:
        """Return the table, None where there was none. One given as a loader is loaded when it is first asked for."""
        found = self._tables.get(identifier)
        if callable(found):
            found = self._tables[identifier] = found()
        return found


def read_state(catalog: Catalog, identifiers: Collection[Identifier]) -> CatalogState:
    """Return the state of the tables now: one query of a SQL catalog; any other is read until two rounds agree.

    Raises:
        TimeoutError: the tables changed again in every round.
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
        f"The tables of {', '.join(sorted({source for source, _ in identifiers}))} changed in each of {_ATTEMPTS} "
        "attempts to read them at one moment: read them again later"
    )


def _loaders(catalog: SqlCatalog, identifiers: Collection[Identifier]) -> dict[Identifier, Loader]:
    """Return a loader for each table. Its row names a metadata file, which is never written again."""
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

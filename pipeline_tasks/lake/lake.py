"""The lake: Iceberg tables of one source, written as plain Parquet and committed a day at a time.

Spark (or pyarrow) writes Parquet files into a new folder under the table's location. `Lake.commit_tables` then
replaces their days in all tables at once; this changes metadata alone and takes 50-200 ms a table. A reader of
`Lake.at_one_moment` finds the old run in all tables, or the new one.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import date
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, GreaterThanOrEqual, In, LessThanOrEqual
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction
from pyiceberg.table.snapshots import ancestors_of
from pyiceberg.utils.datetime import date_to_days
from sqlalchemy.exc import IntegrityError

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.errors import DamagedFileError, out_of_space_errors
from pipeline_tasks.lake.atomic_commit import commit_together, pending_table
from pipeline_tasks.lake.catalog import CatalogState, as_properties, facts_of, open_catalog, read_state
from pipeline_tasks.lake.files import damaged_table_errors
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema, iceberg_schema, partition_spec
from pipeline_tasks.tables.table_contract import COMPRESSION

Days = tuple[date, date]
"""First and last day, both included."""
_ATTEMPTS: Final = 5
"""Attempts to commit, because another process may commit to the same tables."""


class NewDays(NamedTuple):
    """Days of one table and the files that replace all their rows. A day without a file becomes empty."""

    days: Iterable[date]
    files: Sequence[str]


class Lake:
    """The tables of one source, in an Iceberg namespace of its name. Reading creates neither table nor namespace."""

    def __init__(self, catalog: Catalog, source: str, state: CatalogState | None = None) -> None:
        self.catalog = catalog
        self.source = source
        self._state = state

    @classmethod
    def open(cls, settings: Settings, source: str) -> "Lake":
        """Open the lake of `source`, which may have no tables yet."""
        return cls(open_catalog(settings), source)

    def consistent_view(self) -> "Lake":
        """Return a consistent view of this lake for reading: all tables as they are now, without later commits."""
        return Lake(self.catalog, self.source, read_state(self.catalog, [(self.source, name) for name in TABLES]))

    def table(self, name: str) -> IcebergTable:
        """Return the table `name` of the contracts for writing; it is created if it does not exist."""
        present = self.present(name)
        if present is not None:
            return present
        contract = TABLES[name]
        # Tables are created concurrently, and pyiceberg checks for the namespace before it inserts it.
        with suppress(IntegrityError):
            self.catalog.create_namespace_if_not_exists(self.source)
        return self.catalog.create_table_if_not_exists(
            (self.source, name), schema=iceberg_schema(contract), partition_spec=partition_spec(contract)
        )

    def present(self, name: str) -> IcebergTable | None:
        """Return the table, or None where it does not exist."""
        try:
            if self._state is not None:
                return self._state.table((self.source, name))
            # 6 ms, against 116 ms of `create_table_if_not_exists`, which first writes a metadata file.
            return self.catalog.load_table((self.source, name))
        except NoSuchTableError:
            return None
        except (FileNotFoundError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise DamagedFileError(
                f"The metadata file of {self.source}.{name} cannot be read ({reason}): restore it from a backup of "
                "the lake"
            ) from error

    def _with_new_columns(self, name: str) -> IcebergTable:
        """Return the table after adding the columns that its contract has gained; no column is ever dropped."""
        table = self.table(name)
        known = set(table.schema().column_names)
        if not known.issuperset(TABLES[name].column_names):
            with table.update_schema() as update:
                update.union_by_name(iceberg_schema(TABLES[name]))
            table = table.refresh()
        return table

    def snapshot_id(self, name: str) -> int | None:
        """Return the id of the table's current snapshot, or None where it has none."""
        table = self._published(name)
        return table.metadata.current_snapshot_id if table else None

    def new_data_folder(self, name: str) -> str:
        """Return a new folder for data files of the table, which is created if it does not exist.

        Readers do not see its files before `commit`.
        """
        return _new_folder(self.table(name))

    def commit(self, name: str, days: Iterable[date], files: Sequence[str], facts: dict[str, str] | None = None) -> int:
        """Replace `days` of one table by `files` and return the new snapshot id; see `commit_tables`."""
        return self.commit_tables({name: NewDays(days, files)}, facts)[name]

    def commit_tables(self, changes: Mapping[str, NewDays], facts: Mapping[str, str] | None = None) -> dict[str, int]:
        """Replace days of several tables, in all of them or in none, and return the new snapshot ids by table.

        `facts` is kept as properties of each snapshot.

        Raises:
            ValueError: a table would have no snapshot afterwards.
            CommitFailedException: other processes kept on committing to these tables.
            OutOfSpaceError: the disk is full; no table is changed.
        """
        # A retry builds the transactions anew. That is safe, because replacing a day does not depend on its old rows.
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.writing():
                    transactions = {name: self.replacing(name, new, facts or {}) for name, new in changes.items()}
                    snapshots = {name: one.table_metadata.current_snapshot_id for name, one in transactions.items()}
                    commit_together(self.catalog, list(transactions.values()))
                break
            except CommitFailedException:
                if attempt == _ATTEMPTS:
                    raise
        return snapshots

    def writing(self) -> AbstractContextManager[None]:
        """Return a context for writing files of the tables; it raises OutOfSpaceError on a full disk."""
        folder = self.catalog.properties.get("warehouse", "the lake")
        return out_of_space_errors(folder, f"the tables of {self.source} are unchanged")

    def replacing(self, name: str, new: NewDays, facts: Mapping[str, str]) -> Transaction:
        """Return the transaction that replaces days of one table, to be committed by `commit_together`."""
        table, properties = self._with_new_columns(name), as_properties(facts)
        transaction = table.transaction()
        if table.current_snapshot() is not None:
            transaction.delete(In("ds", set(new.days)), snapshot_properties=properties)
        elif not new.files:
            raise ValueError(f"Nothing to commit to {self.source}.{name}: no files given and the table is empty")
        if new.files:
            transaction.add_files(list(new.files), snapshot_properties=properties)
        return transaction

    def after(self, transactions: Mapping[str, Transaction]) -> "Lake":
        """Return a view of this lake, for reading, as if the transactions of its tables were committed."""
        tables = {name: self.present(name) for name in TABLES if name not in transactions}
        tables |= {name: pending_table(transaction) for name, transaction in transactions.items()}
        state = {(self.source, name): table for name, table in tables.items() if table is not None}
        return Lake(self.catalog, self.source, CatalogState(state))

    def write_arrow(self, name: str, rows: pa.Table) -> list[str]:
        """Write `rows` (contract columns) as one Parquet file per day and return the files, for `commit`."""
        rows = rows.select(TABLES[name].column_names).cast(arrow_schema(TABLES[name]))
        table = self.table(name)
        folder, files = _new_folder(table), []
        for day in sorted(set(rows["ds"].to_pylist())):
            path = f"{folder}/{day.isoformat()}.parquet"
            with self.writing(), table.io.new_output(path).create() as stream:
                pq.write_table(rows.filter(pc.equal(rows["ds"], pa.scalar(day))), stream, compression=COMPRESSION)
            files.append(path)
        return files

    def files(
        self, name: str, days: Days | None = None, snapshot_id: int | None = None, without: Collection[date] = ()
    ) -> list[str]:
        """Return the Parquet files of the days (all by default) except the days `without`.

        They are those of the snapshot, by default the current one, in one scan. Every file holds rows of one day.

        Raises:
            ValueError: the table has snapshots, but not this one.
        """
        table = self._published(name)
        if table is None:
            return []
        scan = table.scan(row_filter=_day_filter(days), snapshot_id=snapshot_id)
        with damaged_table_errors(table, snapshot_id):
            found = [task.file for task in scan.plan_files()]
        # A filter of the scan would be bound to each file with all the days.
        left_out = {date_to_days(day) for day in without}
        return sorted(file.file_path for file in found if file.partition[0] not in left_out)

    def read(
        self, name: str, days: Days | None = None, columns: Sequence[str] = ("*",), snapshot_id: int | None = None
    ) -> pa.Table:
        """Return the rows of the days in a snapshot (the current one by default) as Arrow.

        A table without a snapshot gives an empty result with the contract's schema.

        Raises:
            ValueError: the table has snapshots, but not this one.
        """
        table = self._published(name)
        if table is None:
            schema = arrow_schema(TABLES[name])
            return schema.empty_table() if columns == ("*",) else schema.empty_table().select(list(columns))
        with damaged_table_errors(table, snapshot_id):
            scan = table.scan(_day_filter(days), selected_fields=tuple(columns), snapshot_id=snapshot_id)
            rows: pa.Table = scan.to_arrow()
        return rows

    def days(self, name: str) -> list[date]:
        """Return the days with rows in the table, oldest first."""
        table = self._published(name)
        if table is None:
            return []
        partitions = table.inspect.partitions()
        return sorted({row["partition"]["ds"] for row in partitions.select(["partition"]).to_pylist()})

    def facts(self, name: str) -> dict[str, str]:
        """Return the facts of the table's current snapshot."""
        return next(iter(self.history(name)), {})

    def history(self, name: str) -> list[dict[str, str]]:
        """Return the facts of the current snapshot and of its ancestors, newest first."""
        table = self._published(name)
        if table is None:
            return []
        return [facts_of(snapshot) for snapshot in ancestors_of(table.current_snapshot(), table.metadata)]

    def _published(self, name: str) -> IcebergTable | None:
        """Return the table, or None where it has no snapshot yet."""
        table = self.present(name)
        return table if table is not None and table.current_snapshot() is not None else None


def _new_folder(table: IcebergTable) -> str:
    return f"{table.location()}/data/{uuid.uuid4().hex}".removeprefix("file://")


def _day_filter(days: Days | None) -> BooleanExpression:
    if days is None:
        return AlwaysTrue()
    return And(GreaterThanOrEqual("ds", days[0]), LessThanOrEqual("ds", days[1]))

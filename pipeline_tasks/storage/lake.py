"""The lake: Iceberg tables of one source, written as plain Parquet and committed a day at a time.

Spark (or pyarrow) writes Parquet files into a fresh folder under the table's location; `Lake.commit` then replaces the
days they belong to in one Iceberg transaction (metadata only: 50-200 ms). Readers of a table see its old night or its
new one; the tables of a night follow one another.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, GreaterThanOrEqual, In, LessThanOrEqual
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from pipeline_tasks.contracts import TABLES
from pipeline_tasks.settings import Settings
from pipeline_tasks.tables.schemas import arrow_schema, iceberg_schema, partition_spec
from pipeline_tasks.tables.table_contract import COMPRESSION

Days = tuple[date, date]
"""First and last day, both included."""


def open_catalog(settings: Settings) -> Catalog:
    """Open the Iceberg catalog that the settings name: SQLite under `home` unless another is set."""
    warehouse = settings.lake_warehouse or f"file://{settings.home.resolve() / 'lake'}"
    properties = {"warehouse": warehouse, **settings.lake_catalog_properties}
    if "type" in properties:
        return load_catalog("nightshelf", **properties)
    if settings.lake_catalog_uri is None:
        (settings.home / "lake").mkdir(parents=True, exist_ok=True)
    uri = settings.lake_catalog_uri or f"sqlite:///{settings.home.resolve() / 'lake' / 'catalog.db'}"
    return SqlCatalog("nightshelf", uri=uri, **properties)


class Lake:
    """The tables of one source: an Iceberg namespace named after it."""

    def __init__(self, catalog: Catalog, source: str) -> None:
        self.catalog = catalog
        self.source = source

    @classmethod
    def open(cls, settings: Settings, source: str) -> "Lake":
        """Open the lake of `source`, making its namespace if it is new."""
        catalog = open_catalog(settings)
        catalog.create_namespace_if_not_exists(source)
        return cls(catalog, source)

    def table(self, name: str) -> IcebergTable:
        """Return the table `name` of the contracts, made if it is new."""
        contract = TABLES[name]
        return self.catalog.create_table_if_not_exists(
            (self.source, name), schema=iceberg_schema(contract), partition_spec=partition_spec(contract)
        )

    def _grown(self, name: str) -> IcebergTable:
        """Return the table with the columns that its contract has gained since it was made; none is ever dropped."""
        table = self.table(name)
        known = set(table.schema().column_names)
        if not known.issuperset(TABLES[name].column_names):
            with table.update_schema() as update:
                update.union_by_name(iceberg_schema(TABLES[name]))
            table = table.refresh()
        return table

    def snapshot_id(self, name: str) -> int | None:
        """Return the current snapshot of the table, None when it has none yet."""
        try:
            snapshot = self.catalog.load_table((self.source, name)).current_snapshot()
        except NoSuchTableError:
            return None
        return snapshot.snapshot_id if snapshot else None

    def data_folder(self, name: str) -> str:
        """Return a fresh folder for data files of the table: no reader sees it before `commit`."""
        folder = f"{self.table(name).location()}/data/{uuid.uuid4().hex}"
        return folder.removeprefix("file://")

    def commit(self, name: str, days: Iterable[date], files: Sequence[str], facts: dict[str, str] | None = None) -> int:
        """Replace `days` of the table by `files` in one transaction and return the new snapshot id.

        A day without a file ends up empty. `facts` is kept as snapshot properties.
        """
        table = self._grown(name)
        properties = {f"nightshelf.{key}": value for key, value in (facts or {}).items()}
        with table.transaction() as transaction:
            if table.current_snapshot() is not None:
                transaction.delete(In("ds", set(days)), snapshot_properties=properties)
            if files:
                transaction.add_files(list(files), snapshot_properties=properties)
        snapshot = table.refresh().current_snapshot()
        if snapshot is None:
            raise ValueError(f"Nothing to commit to {self.source}.{name}: no files given and the table is empty")
        committed: int = snapshot.snapshot_id
        return committed

    def write_arrow(self, name: str, rows: pa.Table) -> list[str]:
        """Write `rows` (contract columns) as one Parquet file per day and return the files, for `commit`."""
        rows = rows.select(TABLES[name].column_names).cast(arrow_schema(TABLES[name]))
        folder = self.data_folder(name)
        io = self.table(name).io
        files = []
        for day in sorted(set(rows["ds"].to_pylist())):
            path = f"{folder}/{day.isoformat()}.parquet"
            with io.new_output(path).create() as stream:
                pq.write_table(rows.filter(pc.equal(rows["ds"], pa.scalar(day))), stream, compression=COMPRESSION)
            files.append(path)
        return files

    def files(self, name: str, days: Days | None = None, snapshot_id: int | None = None) -> list[str]:
        """Return the Parquet files of the days (all by default) in a snapshot (the current one by default)."""
        if self.snapshot_id(name) is None:
            return []
        scan = self.table(name).scan(row_filter=_within(days), snapshot_id=snapshot_id)
        return sorted(task.file.file_path for task in scan.plan_files())

    def read(
        self, name: str, days: Days | None = None, columns: Sequence[str] = ("*",), snapshot_id: int | None = None
    ) -> pa.Table:
        """Return the rows of the days as Arrow; an empty table with the contract's schema when there are none."""
        if self.snapshot_id(name) is None:
            schema = arrow_schema(TABLES[name])
            return schema.empty_table() if columns == ("*",) else schema.empty_table().select(list(columns))
        scan = self.table(name).scan(_within(days), selected_fields=tuple(columns), snapshot_id=snapshot_id)
        rows: pa.Table = scan.to_arrow()
        return rows

    def days(self, name: str) -> list[date]:
        """Return the days that the table holds, oldest first."""
        if self.snapshot_id(name) is None:
            return []
        partitions = self.table(name).inspect.partitions()
        return sorted({row["partition"]["ds"] for row in partitions.select(["partition"]).to_pylist()})

    def facts(self, name: str) -> dict[str, str]:
        """Return the facts kept with the table's current snapshot."""
        return next(iter(self.history(name)), {})

    def history(self, name: str) -> list[dict[str, str]]:
        """Return the facts of the current snapshot and of those it follows from, newest first."""
        if self.snapshot_id(name) is None:
            return []
        table = self.table(name)
        return [_facts(snapshot) for snapshot in ancestors_of(table.current_snapshot(), table.metadata)]


def _facts(snapshot: Snapshot) -> dict[str, str]:
    properties = snapshot.summary.additional_properties if snapshot.summary else {}
    return {k.removeprefix("nightshelf."): v for k, v in properties.items() if k.startswith("nightshelf.")}


def _within(days: Days | None) -> BooleanExpression:
    if days is None:
        return AlwaysTrue()
    return And(GreaterThanOrEqual("ds", days[0]), LessThanOrEqual("ds", days[1]))

"""Takes the rows of forgotten users out of the tables: files that hold some are written again without them."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table import Transaction

from pipeline_tasks.lake.atomic_commit import commit_together
from pipeline_tasks.lake.file_location import file_location
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.lake.snapshot_facts import as_properties
from pipeline_tasks.maintenance.old_snapshots import expire
from pipeline_tasks.maintenance.publications import FORGOT
from pipeline_tasks.maintenance.recount_days import RECOUNTED, recount_days
from pipeline_tasks.maintenance.table_files import data_files, replace_files
from pipeline_tasks.sources.erased import ErasedUsers
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.table_contract import COMPRESSION

TEXTS: Final = {"quarantine": ("raw", "detail")}
"""Tables without a user_key, and the columns whose words may name a user."""
OF_USERS: Final = tuple(name for name, table in TABLES.items() if "user_key" in table.column_names or name in TEXTS)


def erase_rows(lake: Lake, forgotten: ErasedUsers) -> dict[str, int]:
    """Commit all tables without the users' rows, of all nights, and return how many went by table.

    One commit for all of them, with the counts of the days corrected; none where nothing went. Earlier snapshots still
    hold the rows: `erase_history` is what deletes those.

    Raises:
        CommitFailedException: another process committed to one of the tables meanwhile; nothing was changed.
    """
    now = lake.at_one_moment()
    counts: dict[str, int] = dict.fromkeys(OF_USERS, 0)
    transactions: dict[str, Transaction] = {}
    with lake.writing():
        for name in OF_USERS:
            counts[name], transaction = _without_users(now, name, forgotten)
            if transaction is not None:
                transactions[name] = transaction
        recounted = recount_days(now.after(transactions))
        if recounted is not None:
            transactions[RECOUNTED] = now.replacing(RECOUNTED, recounted, now.facts(RECOUNTED))
        commit_together(lake.catalog, list(transactions.values()))
    return counts


def _without_users(lake: Lake, name: str, forgotten: ErasedUsers) -> tuple[int, Transaction | None]:
    """Return how many rows of the table go, and the transaction that takes them away, None for no rows."""
    table = lake.present(name)
    if table is None:
        return 0, None
    gone, new, rows = [], [], 0
    for path, file in data_files(table, table.current_snapshot()).items():
        hers = _hers(path, name, forgotten)
        count = pc.sum(hers).as_py() or 0
        if count:
            gone.append(file)
            rows += count
            if count < len(hers):
                new.append(_without(lake, table, name, path, hers))
    if not gone:
        return 0, None
    replacements = [parquet_file_to_data_file(table.io, table.metadata, path) for path in new]
    # What the night kept with its snapshot is still true of the rows that stay.
    facts = lake.facts(name) | {"forgotten_rows": str(rows)}
    return rows, replace_files(table, gone, replacements, facts)


def erase_history(lake: Lake, name: str) -> int:
    """Expire every snapshot of the table but the present one, and return how many.

    The present one names what it took away, with the least and greatest key of each file; a further one no longer does.
    """
    table = lake.present(name)
    if table is None or table.current_snapshot() is None:
        return 0
    facts = as_properties(lake.facts(name) | {FORGOT: "all"})
    with table.transaction() as transaction, transaction.update_snapshot(snapshot_properties=facts).fast_append():
        pass
    table = table.refresh()
    present = table.metadata.current_snapshot_id
    earlier = [snapshot for snapshot in table.snapshots() if snapshot.snapshot_id != present]
    expire(table, earlier)
    return len(earlier)


def _hers(path: str, name: str, forgotten: ErasedUsers) -> pa.Array:
    """Return for each row of a file whether it is a forgotten user's."""
    system, inner = file_location(path)
    columns = list(TEXTS.get(name, ("user_key",)))
    rows = pq.read_table(inner, columns=columns, filesystem=system, partitioning=None)
    found = pa.array([False] * rows.num_rows, pa.bool_())
    for column in columns:
        values = rows[column].combine_chunks()
        distinct = pc.unique(values).to_pylist()
        told = forgotten.is_named_in if name in TEXTS else forgotten.knows
        known = pa.array([value for value in distinct if value is not None and told(value)], values.type)
        found = pc.or_(found, pc.is_in(values, value_set=known))
    return found


def _without(lake: Lake, table: IcebergTable, name: str, path: str, hers: pa.Array) -> str:
    system, inner = file_location(path)
    rows = pq.read_table(inner, filesystem=system, partitioning=None)
    target = f"{lake.data_folder(name)}/{path.rpartition('/')[2]}"
    with table.io.new_output(target).create() as stream:
        pq.write_table(rows.filter(pc.invert(hers)), stream, compression=COMPRESSION)
    return target

"""Commits several Iceberg tables at once: a reader finds all of them changed, or none.

A SQL catalog keeps one row per table with the location of its metadata file. All new metadata files are written first.
Then one database transaction updates the rows. Each update requires that the row still names the file that the change
was built on. A REST catalog has an endpoint for this. Other catalogs (Glue, Hive, DynamoDB), and REST servers without
the endpoint, commit the tables one after another in the given order.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import API_PREFIX, RestCatalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestEntryStatus
from pyiceberg.table import CommitTableRequest, TableIdentifier, Transaction
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AddSnapshotUpdate, AssertTableUUID
from sqlalchemy import update
from sqlalchemy.orm import Session

from pipeline_tasks.lake.files import sync_files

_REST_COMMIT: Final = "transactions/commit"
_CONFLICT: Final = 409


def commit_together(catalog: Catalog, transactions: Sequence[Transaction]) -> None:
    """Commit the transactions, one per table; a transaction without a change is skipped.

    Files that a snapshot adds, and its metadata, are synced to the disk first. The catalog thus never names a file that
    a power cut can remove.

    Raises:
        CommitFailedException: another process has changed one of the tables; nothing was committed.
    """
    changed = [transaction for transaction in transactions if transaction._updates]
    for transaction in changed:
        sync_files(_new_files(transaction), transaction._table.location())
    if isinstance(catalog, SqlCatalog):
        _commit_in_database(catalog, changed)
    elif isinstance(catalog, RestCatalog) and _has_commit_endpoint(catalog) and changed:
        _commit_by_rest(catalog, changed)
    else:
        for transaction in changed:
            transaction.commit_transaction()


def pending_table(transaction: Transaction) -> IcebergTable:
    """Return the table as it will be once the transaction is committed, for reading."""
    table = transaction._table
    return IcebergTable(
        table.name(), transaction.table_metadata, table.metadata_location, table.io, table.catalog, table.config
    )


def _commit_in_database(catalog: SqlCatalog, transactions: Sequence[Transaction]) -> None:
    """Write the metadata files, then update the catalog's rows in one database transaction."""
    rows = []
    for transaction in transactions:
        table = transaction._table
        staged = catalog._update_and_stage_table(table, table.name(), transaction._requirements, transaction._updates)
        catalog._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        sync_files([staged.metadata_location], table.location())
        rows.append((table.name(), table.metadata_location, staged.metadata_location))
    with Session(catalog.engine) as session:
        # Sorted, so that two concurrent commits cannot deadlock.
        for identifier, before, after in sorted(rows):
            namespace = Catalog.namespace_to_string(Catalog.namespace_from(identifier))
            replaced: Any = session.execute(
                update(IcebergTables)
                .where(
                    IcebergTables.catalog_name == catalog.name,
                    IcebergTables.table_namespace == namespace,
                    IcebergTables.table_name == Catalog.table_name_from(identifier),
                    IcebergTables.metadata_location == before,
                )
                .values(metadata_location=after, previous_metadata_location=before)
            )
            if replaced.rowcount != 1:
                raise CommitFailedException(f"Table has been updated by another process: {'.'.join(identifier)}")
        session.commit()


def _commit_by_rest(catalog: RestCatalog, transactions: Sequence[Transaction]) -> None:
    requests = [
        CommitTableRequest(
            identifier=TableIdentifier(namespace=transaction._table.name()[:-1], name=transaction._table.name()[-1]),
            requirements=(
                *transaction._requirements,
                AssertTableUUID(uuid=transaction.table_metadata.table_uuid),
            ),
            updates=transaction._updates,
        ).model_dump_json()
        for transaction in transactions
    ]
    response = catalog._session.post(
        catalog.url(_REST_COMMIT), data=f'{{"table-changes": [{", ".join(requests)}]}}'.encode()
    )
    if response.status_code == _CONFLICT:
        raise CommitFailedException(f"A table has been updated by another process: {response.text}")
    response.raise_for_status()


def _has_commit_endpoint(catalog: RestCatalog) -> bool:
    return any(
        endpoint.path == f"{API_PREFIX}/{_REST_COMMIT}" and str(endpoint.http_method.value) == "POST"
        for endpoint in catalog._supported_endpoints
    )


def _new_files(transaction: Transaction) -> Iterator[str]:
    """Yield the files that the transaction's snapshots add: data files, manifests and manifest lists."""
    for snapshot in _new_snapshots(transaction._updates):
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(transaction._table.io):
            if manifest.added_snapshot_id == snapshot.snapshot_id:
                yield manifest.manifest_path
                for entry in manifest.fetch_manifest_entry(transaction._table.io, discard_deleted=True):
                    if entry.status == ManifestEntryStatus.ADDED:
                        yield entry.data_file.file_path


def _new_snapshots(updates: Iterable[object]) -> Iterator[Snapshot]:
    return (change.snapshot for change in updates if isinstance(change, AddSnapshotUpdate))

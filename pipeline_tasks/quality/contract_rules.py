"""Expectations that follow from a table's contract: columns and their order, types, required values, the key."""

from typing import Final

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_rules import no_rows_from, not_null, unique_ids_per_day
from pipeline_tasks.tables.contracts import TABLES, DataType, Table

_SPARK_TYPES: Final[dict[DataType, str]] = {
    "string": "StringType",
    "long": "LongType",
    "int": "IntegerType",
    "double": "DoubleType",
    "boolean": "BooleanType",
    "date": "DateType",
    "timestamp": "TimestampType",
}
_REBUILD: Final = "The job that staged the table broke its contract: correct the job and run its step again."


def contract_rules(name: str) -> list[Expectation]:
    """Return the rules for the contract of the table `name`."""
    contract = TABLES[name]
    meta = {"column": "*", "remedy": _REBUILD}
    rules: list[Expectation] = [gxe.ExpectTableColumnsToMatchOrderedList(column_list=contract.column_names, meta=meta)]
    for column in contract.columns:
        # Great Expectations cannot name the element type of an array. Each array has a rule of its own instead.
        if column.dtype in _SPARK_TYPES:
            rules.append(
                gxe.ExpectColumnValuesToBeOfType(
                    column=column.name,
                    type_=_SPARK_TYPES[column.dtype],
                    meta={"column": column.name, "remedy": _REBUILD},
                )
            )
        if not column.nullable:
            rules.append(not_null(column.name, _REBUILD))
    if contract.key:
        rules.append(unique_key(contract))
    return rules


def unique_key(contract: Table) -> Expectation:
    """Return the rule that no two rows share the key.

    A key (ds, id) is compared day by day, any other key by one aggregate. The built-in rule would need a window.
    """
    columns = ", ".join(contract.key)
    query = f"SELECT {columns}, count(*) AS times FROM {{batch}} GROUP BY {columns} HAVING count(*) > 1"
    description = f"({columns}) identifies one row"
    if len(contract.key) == 2 and contract.key[0] == "ds":
        return unique_ids_per_day(description, query, contract.key[1], columns, _REBUILD)
    return no_rows_from(description, query, columns, _REBUILD, shared_sql=True)

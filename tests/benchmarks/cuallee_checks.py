"""The rules of a gate's suite as `cuallee` states them: each is made from the expectation it stands for.

Left out, as cuallee has no such checks: names, order and types of columns, and queries that compare tables.
"""

from typing import Final

from cuallee import Check, CheckLevel
from great_expectations.expectations.expectation import Expectation

from pipeline_tasks.quality.gate_runner import SUITES
from pipeline_tasks.tables.contracts import TABLES

_BETWEEN: Final = "ExpectColumnValuesToBeBetween"
_NO_PEER: Final = (
    "ExpectTableColumnsToMatchOrderedList",
    "ExpectColumnValuesToBeOfType",
    "ExpectTableRowCountToBeBetween",
    "ExpectNoRowsFrom",
    # A key is stated from the contract, as every table's.
    "ExpectIdsToDifferWithinDays",
)


def cuallee_check(table: str) -> Check:
    """Return one check with all rules of the table's suite that cuallee has, the contract's key among them.

    Raises:
        ValueError: the suite holds a rule of an unknown kind.
    """
    check = Check(CheckLevel.ERROR, table)
    for rule in SUITES[table]():
        _add(check, rule)
    key = TABLES[table].key
    if key:
        check.are_unique(list(key))
    return check


def _add(check: Check, rule: Expectation) -> None:
    kind = type(rule).__name__
    if kind == "ExpectColumnValuesToNotBeNull":
        check.is_complete(rule.column, rule.mostly)
    elif kind == "ExpectColumnValuesToBeInSet":
        listed = ", ".join(f"'{value}'" for value in rule.value_set)
        # cuallee's own is_contained_in counts NULL as a fault, as is_between does; these rules leave it to another.
        check.satisfies(rule.column, f"{rule.column} IS NULL OR {rule.column} IN ({listed})")
    elif kind == _BETWEEN:
        check.satisfies(rule.column, f"{rule.column} IS NULL OR ({_bounds(rule)})")
    elif kind == "ExpectRowsToSatisfy":
        check.satisfies(rule.meta["column"], f"coalesce(({rule.condition}), false)")
    elif kind not in _NO_PEER:
        raise ValueError(f"{kind} of {check.name} has no counterpart: state it by cuallee, or add it to _NO_PEER")


def _bounds(rule: Expectation) -> str:
    low = [f"{rule.column} {'>' if rule.strict_min else '>='} {rule.min_value}"] if rule.min_value is not None else []
    high = [f"{rule.column} <= {rule.max_value}"] if rule.max_value is not None else []
    return " AND ".join(low + high)

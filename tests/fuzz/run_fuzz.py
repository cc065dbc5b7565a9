"""Runs deliveries of broken records; where one is not accounted for, keeps it and makes it as small as it can."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from pyspark.sql import SparkSession

from tests.fuzz.deliveries import SHAPES, Delivery, make_delivery
from tests.fuzz.lines import Unit
from tests.fuzz.oracle import Problem, check_delivery

TRIES: Final = 12
"""How many times a failing delivery is run again to make it smaller, unless another number is asked for."""
SUSPECTS: Final = 60
SHOWN: Final = 5


@dataclass(frozen=True)
class Failure:
    """A delivery that was not accounted for."""

    seed: int
    number: int
    records: int
    per_delivery: int
    problems: list[Problem]
    kept: Path
    smallest: Delivery

    def __str__(self) -> str:
        problems = "\n".join(f"  {problem.text}" for problem in self.problems[:SHOWN])
        more = f"\n  and {len(self.problems) - SHOWN} more" if len(self.problems) > SHOWN else ""
        lines = "\n".join(f"  {unit.raw[:300]!r}" for unit in list(self.smallest.units())[:SHOWN])
        return (
            f"delivery {self.number} ({self.smallest.shape.name}) of seed {self.seed}: {len(self.problems)} problems\n"
            f"{problems}{more}\nsmallest delivery ({sum(1 for _ in self.smallest.units())} pieces):\n{lines}\n"
            f"files: {self.kept}\nagain: python -m tests.fuzz --seed {self.seed} --records {self.records} "
            f"--per-delivery {self.per_delivery} --delivery {self.number}"
        )


def fuzz(
    spark: SparkSession,
    seed: int,
    records: int,
    per_delivery: int,
    folder: Path,
    only: int | None = None,
    tries: int = TRIES,
) -> Iterator[Failure | None]:
    """Yield the outcome of each delivery: a failure, or None."""
    numbers = range(-(-records // per_delivery)) if only is None else [only]
    for number in numbers:
        delivery = make_delivery(seed, number, per_delivery)
        place = folder / f"{number}-{delivery.shape.name}"
        problems = check_delivery(spark, delivery, place)
        if not problems:
            shutil.rmtree(place)
            yield None
            continue
        smallest = _smallest(spark, delivery, problems, place, tries)
        yield Failure(seed, number, records, per_delivery, problems, place, smallest)


def _smallest(
    spark: SparkSession, delivery: Delivery, problems: Sequence[Problem], place: Path, tries: int
) -> Delivery:
    numbers = count()

    def fails(units: Sequence[Unit]) -> bool:
        part = place / f"smaller-{next(numbers)}"
        return bool(check_delivery(spark, delivery.only(units), part))

    return delivery.only(smallest_part(list(delivery.units()), _suspects(problems), fails, tries))


def _suspects(problems: Sequence[Problem]) -> list[Unit]:
    found = {id(unit): unit for problem in problems if len(problem.units) <= SUSPECTS for unit in problem.units}
    return list(found.values())[:SUSPECTS]


def smallest_part(
    units: list[Unit], suspects: list[Unit], fails: Callable[[Sequence[Unit]], bool], tries: int = TRIES
) -> list[Unit]:
    """Return a part of the units that still fails: of the suspects where they alone do; found by halving."""
    if suspects:
        tries -= 1
        units = suspects if fails(suspects) else units
    while len(units) > 1 and tries > 0:
        half = len(units) // 2
        for part in (units[:half], units[half:]):
            tries -= 1
            if fails(part):
                units = part
                break
        else:
            break
    return units


def shapes() -> str:
    """Return the names of the kinds of delivery."""
    return ", ".join(shape.name for shape in SHAPES)

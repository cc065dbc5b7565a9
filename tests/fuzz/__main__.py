"""Fuzzes landing, cleaning and its gate with broken records of every format.

    python -m tests.fuzz --seed 1 --records 100000

Ends with exit code 1 where a record was lost, counted twice, or ended the job.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

from spark_jobs.common.spark_session import open_session
from tests.fuzz.run_fuzz import TRIES, fuzz, shapes


def main() -> int:
    parser = argparse.ArgumentParser(description=f"Fuzz the intake with broken records: {shapes()}")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("FUZZ_SEED", "1")))
    parser.add_argument("--records", type=int, default=int(os.environ.get("FUZZ_RECORDS", "100000")))
    parser.add_argument("--per-delivery", type=int, default=4_200)
    parser.add_argument("--delivery", type=int, help="this delivery alone")
    parser.add_argument("--tries", type=int, default=TRIES, help="runs to make a failing delivery smaller")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    spark = open_session("fuzz")
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    failures, started = 0, time.monotonic()
    outcomes = fuzz(
        spark, arguments.seed, arguments.records, arguments.per_delivery, folder, arguments.delivery, arguments.tries
    )
    while True:
        # What the jobs print of each step is not what is looked for here.
        with contextlib.redirect_stdout(None):
            try:
                failure = next(outcomes)
            except StopIteration:
                break
        failures += failure is not None
        print(failure or ".", flush=True, end="\n" if failure else "")
    print(f"\nseed {arguments.seed}: {failures} failures in {time.monotonic() - started:.0f} s")
    spark.stop()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

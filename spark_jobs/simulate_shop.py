"""Simulates a shop's log: users with hidden tastes, journeys through the catalog, and the faults of a real log.

    python spark_jobs/simulate_shop.py --date 2026-11-20 --window-days 30 --events 100000

The same code makes 5,000 events or billions (`NIGHTSHELF_SIMULATION__EVENTS`, `…USERS`, `…ITEMS`, `…SEED`): columns of
hashes over `spark.range`, without a loop over users. The files of a day depend only on the seed, the settings and the
day.

Taste: each user has a fixed style and brand (75 % and 55 % of views follow them) and a journey through the categories,
which moves on every 4 to 8 days. The order of categories therefore predicts the next one. Titles hold all three. 25 %
of views go to a companion of the previous item. 0.5 % of items and 1 % of users are new each day; 12 % of sessions are
anonymous.

Faults: exact copies (0.8 %), the same event again 0.3 s later (0.4 %), events delivered a day late (1 %), bots (one day
in fifteen, 2,200 events), cancellations (6 % of purchases, 0.5 to 2.5 days later), and broken records (0.5 %): cut-off
JSON, an impossible date, a time in 2099 or 1970, a negative price, a price in words, a missing item, an unknown event
kind, bytes that are not UTF-8. In the catalog: repeated ids (0.3 %) and missing titles (0.2 %).
"""

import argparse
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import SimulationSettings, settings
from pipeline_tasks.errors import job_errors
from pipeline_tasks.run_key import RunKey, parse_day
from pipeline_tasks.sources.sources import load_source
from pipeline_tasks.sources.window_choice import WINDOW_HELP, delivered_window
from spark_jobs.common.spark_session import open_session
from spark_jobs.simulation.shop_log import actions, catalog_lines, log_lines
from spark_jobs.simulation.shop_sessions import bot_lines, item_views, sessions

VERSION: Final = "1"
"""Raise it when the simulation changes; files of an older version are then written again."""
_LOOK_BACK: Final = 3
"""Most days between a session and the delivery of its cancellation."""


def simulate_shop(spark: SparkSession, shop: SimulationSettings, folder: str, days: Sequence[date]) -> None:
    """Write the files of the days that have none yet, and the catalog of the last day."""
    root = Path(folder)
    _remove_other_shop(root, shop)
    missing = [day for day in days if not (root / "events" / f"ds={day}").is_dir()]
    if missing:
        _write(event_lines(spark, shop, missing), root / "events")
    if not (root / "items" / f"ds={days[-1]}").is_dir():
        _write(catalog_lines(spark, shop, days[-1]), root / "items")


def event_lines(spark: SparkSession, shop: SimulationSettings, days: Sequence[date]) -> DataFrame:
    """Return ds (day of delivery) and value (a line of JSON) of all events that are delivered on the days."""
    session_days = sorted({day - timedelta(back) for day in days for back in range(_LOOK_BACK + 1)})
    lines = log_lines(actions(item_views(sessions(spark, shop, session_days), shop), shop), shop)
    return lines.unionByName(bot_lines(spark, shop, days)).where(F.col("ds").isin(list(days)))


def _write(lines: DataFrame, folder: Path) -> None:
    """Write the lines to a temporary folder, then move each day into place: a killed job leaves no partial day."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    lines.write.partitionBy("ds").text(str(unfinished))
    folder.mkdir(parents=True, exist_ok=True)
    for day in sorted(unfinished.glob("ds=*")):
        shutil.rmtree(folder / day.name, ignore_errors=True)
        day.rename(folder / day.name)
    shutil.rmtree(unfinished)


def _remove_other_shop(root: Path, shop: SimulationSettings) -> None:
    label = f"{VERSION} {shop.model_dump_json()}"
    marker = root / "shop.json"
    if marker.exists() and marker.read_text() == label:
        return
    for kind in ("events", "items"):
        shutil.rmtree(root / kind, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    marker.write_text(label)


def arg_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    shop = settings().simulation
    parser = argparse.ArgumentParser(description="Simulate a shop's log")
    parser.add_argument("--date", required=True, type=parse_day, help="the last day, YYYY-MM-DD")
    parser.add_argument("--window-days", type=int, default=settings().split.window_days, help=WINDOW_HELP)
    for name, value in shop.model_dump().items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser


def main() -> None:
    """Run the job."""
    arguments = vars(arg_parser().parse_args())
    with job_errors():
        days = RunKey("simulated_shop", arguments.pop("date")).window(delivered_window(arguments.pop("window_days")))
        folder = load_source("simulated_shop").path
        simulate_shop(open_session("simulate shop"), SimulationSettings.model_validate(arguments), folder, days)


if __name__ == "__main__":
    main()

"""The command line that every model entry point shares: which night."""

import argparse

from pipeline_tasks.run_key import RunKey, parse_day


def night_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with --source and --date."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="the shop's log, for example simulated_shop")
    parser.add_argument("--date", required=True, type=parse_day, help="the night, YYYY-MM-DD")
    return parser


def night_of(arguments: argparse.Namespace) -> RunKey:
    """Return the night that the arguments name."""
    return RunKey(arguments.source, arguments.date)

"""The gates: Great Expectations suites for every table, their runner and their reports."""

import logging

# Column rules and the row count replace the built-in ones on purpose; the registry would warn 40 times.
logging.getLogger("great_expectations.expectations.registry").setLevel(logging.ERROR)

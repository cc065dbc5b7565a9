"""What Great Expectations holds every table to, and how a gate says what it found."""

import logging

# Column rules and the count of rows take the place of the built-in ones on purpose; the registry would warn 40 times.
logging.getLogger("great_expectations.expectations.registry").setLevel(logging.ERROR)

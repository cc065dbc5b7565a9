"""Options for writing Parquet with Spark: zstd, and no dictionaries for columns with few repeated values in a file.

10.7 million events of 15 days, two cores: 12.8 s to write, 2.5 s to read and 270 MB with snappy and dictionaries; 9.4,
1.5 and 213 as here. As many landed records, which are texts: 19.2 s, 3.9 s and 458 MB; 13.4, 2.6 and 319. zstd alone
was up to 10 % slower than snappy, snappy without dictionaries larger (278 and 575 MB).
"""

from collections.abc import Mapping
from typing import Final

from pipeline_tasks.tables.table_contract import COMPRESSION

LANDED: Final = {"compression": COMPRESSION, "parquet.enable.dictionary": "false"}
"""Options of landed records."""
_UNLIKE: Final = {"events": ("user_key", "session_id", "item_id")}
"""Table -> columns without a dictionary. In the tables of recommendations ids repeat: a user has 20 rows."""


def parquet_options(table: str) -> Mapping[str, str]:
    """Return the options for writing a table of the lake."""
    return {"compression": COMPRESSION} | {
        f"parquet.enable.dictionary#{column}": "false" for column in _UNLIKE.get(table, ())
    }

"""The command ``nightshelf``.

nightshelf up                          start the servers, run yesterday, show some recommendations
nightshelf run --date 2026-11-20       one date, through Airflow
nightshelf status | logs               what runs, and how long it takes; the log of a task
nightshelf open mlflow                 a page in the browser; also airflow, docs, spark
nightshelf sql "SELECT …"              the lake in SQL
nightshelf show user|item|query ID     what the latest run made for it
nightshelf lookup USER                 the recommendations of one user as JSON
nightshelf source add shop.toml        register a source for the forms; also list, remove
nightshelf tables | doctor | down
"""

# Importing a module adds its commands to the app.
from pipeline_tasks.cli import run_commands, show_commands, source_commands, table_commands
from pipeline_tasks.cli.terminal import app, console

__all__ = ["app", "console", "run_commands", "show_commands", "source_commands", "table_commands"]

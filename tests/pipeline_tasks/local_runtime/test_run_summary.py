from datetime import date
from pathlib import Path

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.local_runtime.run_summary import more_command
from pipeline_tasks.run_key import RunKey


def test_the_command_names_a_source_other_than_the_default(tmp_path: Path) -> None:
    settings, ds = Settings(home=tmp_path), date(2026, 11, 20)
    begun = 'nightshelf sql "SELECT r.user_key'
    assert more_command(settings, RunKey(settings.source, ds)).startswith(begun)
    other = more_command(settings, RunKey("rees46", ds))
    assert other.startswith('nightshelf sql --source rees46 "SELECT r.user_key')
    assert "ds = '2026-11-20'" in other

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_tasks.errors import job_errors

JOB = """
import {module}
from pipeline_tasks.errors import job_errors

with job_errors():
    {work}
    raise ValueError("No events for 2026-11-20: land that day first")
"""


@pytest.mark.parametrize(
    ("module", "work"), [("json", "json.loads('1')"), ("duckdb", "duckdb.connect().execute('SELECT 1').fetchall()")]
)
def test_the_last_line_of_a_failed_jobs_log_is_its_message(module: str, work: str) -> None:
    job = [sys.executable, "-c", JOB.format(module=module, work=work)]
    ended = subprocess.run(job, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = ended.stdout.splitlines()
    assert ended.returncode == 1
    assert lines[-1] == "ValueError: No events for 2026-11-20: land that day first"
    assert lines[0].startswith("Traceback")
    assert not [line for line in lines if "leaked" in line]


def test_only_the_owner_may_read_the_files_of_a_job(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with job_errors():
            (tmp_path / "kept").mkdir()
            (tmp_path / "kept" / "part.parquet").write_bytes(b"")
        assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "kept" / "part.parquet").stat().st_mode & 0o777 == 0o600
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)

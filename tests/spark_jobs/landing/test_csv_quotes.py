"""Which quotes of values with several lines are closed."""

import gzip
from pathlib import Path

import pytest

from pipeline_tasks.config.source_toml import FileForm
from spark_jobs.landing.parse_text import has_unclosed_quote

DOUBLED = {"escape": '"'}
SOUND: list[tuple[str, dict[str, str]]] = [
    ('1,"two\nlines, really",3\n4,5,6\n', {}),
    ('1,"two\r\n\r\nlines"\r\n"3\r\n4", "5"\r\n', {}),
    ('1,"he said ""hi"",\nok"\n"""quoted\nline""",""\n1,"""","x\ny"\n', DOUBLED),
    ('1,"he said \\"hi\\",\nok"\n1,"path\\\\\nmore\\\\"\n', {}),
    ('1,5" pipe,"two\nlines" \n1,"2"" x"y,"two\nlines"', {}),
    ("1\t'two\nlines'\n5\" x\t2\n", {"sep": "\\t", "quote": "'"}),
    ('1||"two\nlines||"\n', {"sep": "||"}),
    ('1,"x\n', {"quote": ""}),
    ("", {}),
]
UNCLOSED: list[tuple[str, dict[str, str]]] = [
    ('1,2\n3,"open', {}),
    ('1,"open\n2,3\n4,5\n', {}),
    ('1,"open\n2,"closed"\n', {}),
    ('1,"open\n2,"",3\n4,"5",6\n', DOUBLED),
    ('1,"he said \\"hi\\"\n2,3\n', {}),
    ('"open,1\r2,3\r', {}),
    ('1,"two\nlines","open\n2,"3"\n', {}),
    ("1\t'open\n2\t'3'\n", {"sep": "\\t", "quote": "'"}),
]


def found(folder: Path, content: bytes, options: dict[str, str], name: str = "a.csv") -> bool:
    (folder / name).write_bytes(content)
    return has_unclosed_quote(FileForm(format="csv", options=options), str(folder / name))


@pytest.mark.parametrize(("text", "options"), SOUND)
def test_closed_quotes_are_accepted(tmp_path: Path, text: str, options: dict[str, str]) -> None:
    assert not found(tmp_path, text.encode(), options)


@pytest.mark.parametrize(("text", "options"), UNCLOSED)
def test_unclosed_quotes_are_found(tmp_path: Path, text: str, options: dict[str, str]) -> None:
    assert found(tmp_path, text.encode(), options)


def test_files_are_checked_after_unpacking_and_decoding(tmp_path: Path) -> None:
    assert found(tmp_path, gzip.compress(b'1,"open\n2,"3"\n'), {}, "a.csv.gz")
    assert not found(tmp_path, b'\xef\xbb\xbf"a\nb",\xff\n', {})

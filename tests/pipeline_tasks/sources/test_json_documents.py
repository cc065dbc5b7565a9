import io
from pathlib import Path

import pytest

from pipeline_tasks.config.source_toml import FileForm
from pipeline_tasks.sources import document_rows
from pipeline_tasks.sources.document_rows import is_document, object_lines
from pipeline_tasks.sources.readable_files import readable_files
from pipeline_tasks.sources.sources import SourceError


@pytest.mark.parametrize("chunk", [5, 1 << 20])
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('[\n {"a": 1,\n "b": "]}"},\n {"a": [{"x": 2}]}\n]\n', ['{"a": 1,  "b": "]}"}', '{"a": [{"x": 2}]}']),
        ('{"a": 1}{"a": 2} , {"a": 3}', ['{"a": 1}', '{"a": 2}', '{"a": 3}']),
        ('\ufeff[[{"a": 1}], [{"b": "a long text of its own"}]]', ['{"a": 1}', '{"b": "a long text of its own"}']),
        ("[]", []),
        ("", []),
    ],
)
def test_every_object_is_one_line(text: str, lines: list[str], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_rows, "_CHUNK", chunk)
    assert list(object_lines(io.StringIO(text), "a.json")) == lines


@pytest.mark.parametrize("chunk", [5, 1 << 20])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1},\n{"b"', r"line 2 on \(Expecting ':' delimiter"),
        ('[{"a": 1}, 5]', r"line 1 on \(this is not an object, at '5\]'"),
        ('{"a": 1}}', r"line 1 on \(this is not an object, at '}'"),
        ('[{"a": 1},\n{"a": 2}\n', r"line 3 on \(an array is not closed"),
    ],
)
def test_the_error_names_the_line_and_the_fault(
    text: str, message: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_rows, "_CHUNK", chunk)
    with pytest.raises(SourceError, match=message):
        list(object_lines(io.StringIO(text), "a.json"))


@pytest.mark.parametrize(
    ("start", "is_cut", "wanted"),
    [
        ('{"a": 1}\n', True, False),
        ('{"a": 1}{"a": 2}', False, False),
        ('{"a": 1}{"a": 2}', True, True),
        ('[{"a": 1}]\n[{"a": 2}]\n', False, False),
        ('[{"a": 1},\n{"a": 2}]', False, True),
        ('\ufeff{\n"a": 1\n}', False, True),
    ],
)
def test_a_file_of_one_object_per_line_is_not_a_document(start: str, is_cut: bool, wanted: bool) -> None:
    assert is_document(start, is_cut) is wanted


def test_multi_line_json_is_rewritten_as_lines_and_the_copy_removed(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"a": 1,\n"b": 2}\n{"a": 3}')
    form = FileForm(format="json", options={"multiLine": "true"})
    with readable_files(form, [str(file)], tmp_path / "scratch") as ready:
        assert Path(ready.paths[0]).read_text() == '{"a": 1, "b": 2}\n{"a": 3}\n'
        assert ready.origins == {ready.paths[0]: str(file)}
        assert ready.form.options == {}
    assert not (tmp_path / "scratch").exists()

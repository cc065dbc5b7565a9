from collections.abc import Mapping
from typing import Any, Final

import pytest

from pipeline_tasks.local_runtime.chain_run import read_choices

FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "target_date": {"type": ["null", "string"], "format": "date", "title": "RunKey"},
    "epochs": {"type": "integer", "minimum": 0, "title": "Epochs"},
    "approval": {"type": "string", "enum": ["automatic", "person"], "title": "Approval"},
    "candidates": {"type": "array", "items": {"enum": ["frozen", "lora"]}, "minItems": 1, "title": "Candidates"},
    "split_strategy": {"type": ["null", "string"], "enum": [None, "temporal"], "title": "Split strategy"},
    "note": {"type": "string", "title": "Note"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("epochs=2", 2),
        ("approval=person", "person"),
        ('candidates=["lora"]', ["lora"]),
        ("candidates=frozen,lora", ["frozen", "lora"]),
        ("split_strategy=null", None),
        ("note=2024", "2024"),
        ("note=a=b", "a=b"),
    ],
)
def test_a_choice_gets_the_type_of_its_field(text: str, value: object) -> None:
    assert read_choices([text], FIELDS) == {text.partition("=")[0]: value}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs", "is not NAME=VALUE"),
        ("epoch=2", r"no form has a field 'epoch'; is it epochs\? There are approval, candidates, epochs"),
        ("date=2026-11-20", r"no form has a field 'date'\. There are approval, "),
        ("epochs=-1", "the field Epochs: -1 is less than the minimum of 0"),
        ("epochs=many", "the field Epochs: 'many' is not of type 'integer'"),
        ("approval=persn", r"the field Approval: 'persn' is not one of \['automatic', 'person'\]"),
        ("candidates=frozn", r"the field Candidates: 'frozn' is not one of \['frozen', 'lora'\]"),
        ("target_date=2026-11-20", "target_date has an option of its own, --date"),
    ],
)
def test_an_invalid_choice_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_choices([text], FIELDS)

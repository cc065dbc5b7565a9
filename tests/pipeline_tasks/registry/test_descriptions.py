import numpy as np
import pandas as pd

from pipeline_tasks.config.promotion_rules import Promotion
from pipeline_tasks.evaluation.evaluation_report import report_table
from pipeline_tasks.evaluation.full_ranking import RankingResult
from pipeline_tasks.registry.descriptions import LONGEST, comparison_table, promoted_note, verdict_note, version_note

RULE = Promotion(task="served_test", metric="ndcg@10", must_beat=["popularity"], champion_rule="better")


def table_of(**figures: float) -> pd.DataFrame:
    values = {name: np.full(50, value) for name, value in figures.items()}
    results = [
        RankingResult(name, task, {"ndcg@10": row}, {"ndcg@10": float(row.mean())})
        for task in ("served_test", "repeats_test")
        for name, row in values.items()
    ]
    return report_table(results, "two_tower", "ndcg@10")


def test_the_comparison_lists_the_headline_task_with_the_best_first() -> None:
    table = comparison_table(table_of(popularity=0.1, two_tower=0.25, champion=0.2), "two_tower", RULE)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert [row[:3] for row in rows[2:]] == [
        ["**two_tower** (challenger)", "0.2500", "0.2500 to 0.2500"],
        ["**champion**", "0.2000", "0.2000 to 0.2000"],
        ["popularity", "0.1000", "0.1000 to 0.1000"],
    ]
    assert rows[2][3:] == ["", "", ""]
    assert rows[3][3:5] == ["+0.0500", "+0.0500 to +0.0500"]
    assert {len(row) for row in rows} == {6}, "Markdown drops the cells of a row that is too long"


def test_the_verdict_is_the_first_sentence_of_a_version() -> None:
    assert verdict_note(False, "version 4").startswith(
        "**Verdict: keep the champion.** The challenger, version 4, is not"
    )
    note = version_note(verdict_note(True, "version 4"), ["Trained."], "TABLE", "served_test", ["Beats all."])
    assert note.splitlines()[0] == "**Verdict: promote.** The challenger, version 4, may become champion."
    assert note.endswith("- Beats all.")


def test_a_long_description_is_cut_to_what_the_registry_stores() -> None:
    note = version_note("Verdict", ["fact"], "table", "served_test", ["reason " * 1_000])
    assert len(note) == LONGEST
    promoted = promoted_note(note, "2026-11-21", "admin")
    assert len(promoted) == LONGEST
    assert promoted.endswith("\n\nPromoted on 2026-11-21 by admin.")


def test_a_repeated_promotion_replaces_the_sentence_of_the_earlier_one() -> None:
    once = promoted_note("Trained.", "2026-11-21", "admin")
    assert promoted_note(once, "2026-11-22", "the promotion rule") == (
        "Trained.\n\nPromoted on 2026-11-22 by the promotion rule."
    )

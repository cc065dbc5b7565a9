import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline_tasks.config.promotion_rules import CHAMPION, Promotion, SegmentHarm
from pipeline_tasks.evaluation.evaluation_report import report_table, segment_table
from pipeline_tasks.evaluation.full_ranking import RankingResult
from pipeline_tasks.registry.promotion import decide
from pipeline_tasks.registry.registry import Registry, registry
from pipeline_tasks.run_key import RunKey

RULE = Promotion(
    task="discovery_test", metric="ndcg@10", must_beat=["popularity"], champion_rule="not_significantly_worse"
)
NOISE = np.random.default_rng(1).normal(0, 0.05, 400)
NOISE -= NOISE.mean()


def table_of(**figures: float) -> pd.DataFrame:
    results = [
        RankingResult(
            name, "discovery_test", {"ndcg@10": value + (NOISE if name == "two_tower" else -NOISE)}, {"ndcg@10": value}
        )
        for name, value in figures.items()
    ]
    return report_table(results, "two_tower", "ndcg@10")


def test_a_winner_is_promoted_and_a_loser_is_not() -> None:
    promote, reasons = decide(table_of(two_tower=0.2, popularity=0.1), "two_tower", RULE)
    assert promote
    assert reasons[0].startswith("discovery_test ndcg@10 0.2000 beats popularity 0.1000 (difference +0.1000")
    promote, reasons = decide(table_of(two_tower=0.1, popularity=0.1), "two_tower", RULE)
    assert not promote
    assert "does not beat popularity" in reasons[0]
    assert decide(table_of(two_tower=0.1, popularity=0.1), "two_tower", RULE, wins_required=False)[0]


@pytest.mark.parametrize(("champion", "promoted"), [(0.15, True), (0.202, True), (0.3, False)])
def test_the_champion_is_replaced_unless_it_is_significantly_better(champion: float, promoted: bool) -> None:
    table = table_of(two_tower=0.2, popularity=0.1, **{CHAMPION: champion})
    assert decide(table, "two_tower", RULE)[0] is promoted
    strict = RULE.model_copy(update={"champion_rule": "better"})
    assert decide(table, "two_tower", strict)[0] is (champion < 0.2)


@pytest.mark.parametrize(
    ("shown_again", "promoted"), [(0.21, False), (0.19, True), (0.0, True)], ids=["better", "worse", "excluded"]
)
def test_the_default_rule_requires_a_win_against_own_repeats(shown_again: float, promoted: bool) -> None:
    others = dict.fromkeys(registry().evaluation.baselines, 0.1) | {"own_repeats": shown_again}
    rule = registry().promotion.model_copy(update={"task": "discovery_test"})
    promote, reasons = decide(table_of(two_tower=0.2, **others), "two_tower", rule)
    assert promote is promoted
    assert promoted or "does not beat own_repeats 0.2100" in "".join(reasons)


def test_a_rule_that_names_no_baseline_is_refused() -> None:
    with pytest.raises(ValueError, match="must_beat names 'magic'"):
        decide(table_of(two_tower=0.2), "two_tower", RULE.model_copy(update={"must_beat": ["magic"]}))


def test_floors_and_ceilings_hold_also_for_a_winner() -> None:
    table = table_of(two_tower=0.2, popularity=0.1)
    passed = RULE.model_copy(update={"floors": {"ndcg@10": 0.15}, "ceilings": {"ndcg@10": 0.25}})
    assert decide(table, "two_tower", passed) == (True, decide(table, "two_tower", passed)[1])
    for change in ({"floors": {"ndcg@10": 0.21}}, {"ceilings": {"ndcg@10": 0.19}}):
        promote, reasons = decide(table, "two_tower", RULE.model_copy(update=change), wins_required=False)
        assert not promote
        assert reasons[-1].startswith("discovery_test ndcg@10 0.2000, at ")
    with pytest.raises(ValueError, match=r"promotion.floors names 'magic', which is no metric: \[.*'ndcg@10'"):
        decide(table, "two_tower", RULE.model_copy(update={"floors": {"magic": 1.0}}))


def test_a_suspiciously_good_result_is_not_promoted() -> None:
    promote, reasons = decide(table_of(two_tower=0.7, popularity=0.1), "two_tower", RULE)
    assert not promote
    assert "0.7000 is too good to be true: the best rival has 0.1000" in reasons[-1]
    assert decide(table_of(two_tower=0.54, popularity=0.1), "two_tower", RULE)[0]


@pytest.mark.parametrize(("lost", "users", "promoted"), [(0.0, 200, True), (0.08, 200, False), (0.08, 300, True)])
def test_a_loss_in_one_segment_prevents_promotion(lost: float, users: int, promoted: bool) -> None:
    old = np.array(["old"] * 200 + ["new"] * 200)
    ours, champion = (np.full(400, 0.2) + side for side in (NOISE, -NOISE))
    ours[:200] += 0.1
    ours[200:] -= lost
    results = [
        RankingResult(name, "discovery_test", {"ndcg@10": values}, {"ndcg@10": float(values.mean())}, {"history": old})
        for name, values in (("two_tower", ours), (CHAMPION, champion), ("popularity", ours * 0.5))
    ]
    table, segments = (make(results, "two_tower", "ndcg@10") for make in (report_table, segment_table))
    rule = RULE.model_copy(update={"segment_harm": SegmentHarm(kind="history", most=0.2, at_least=users)})
    promote, reasons = decide(table, "two_tower", rule, segments=segments)
    assert promote is promoted
    assert promoted or "users of history new lose" in reasons[-1]
    with pytest.raises(ValueError, match="no table of segments was given"):
        decide(table, "two_tower", rule)
    strange = RULE.model_copy(update={"segment_harm": SegmentHarm(kind="tier", most=0.2)})
    with pytest.raises(ValueError, match=r"kind is 'tier', which was not measured, only \['history'\]"):
        decide(table, "two_tower", strange, segments=segments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"floors": {"gini@10": 0.9}, "ceilings": {"gini@10": 0.5}}, r"floors\.gini@10 0\.9 is above .*ceilings"),
        ({"metric": "mean_rank"}, "promotion.metric is mean_rank, for which less is better"),
        ({"must_beat": ["champion"]}, "must_beat has champion, which champion_rule not_significantly_worse covers"),
        ({"must_beat": ["sasrec"]}, "must_beat names 'sasrec', which evaluation.baselines does not measure"),
        ({"task": "validation"}, "discovery_test"),
        ({"flors": {}}, "flors"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(change: dict[str, object], message: str) -> None:
    given = registry().model_dump()
    with pytest.raises(ValidationError, match=message):
        Registry.model_validate(given | {"promotion": given["promotion"] | change})


def test_an_unknown_baseline_is_refused() -> None:
    given = registry().model_dump() | {"evaluation": {"baselines": ["popularity", "magic"]}}
    with pytest.raises(ValidationError, match=r"baselines names 'magic', which is unknown: choose from popularity, "):
        Registry.model_validate(given)


def test_the_default_names() -> None:
    run_key = RunKey("tiny_shop", pd.Timestamp("2026-11-20").date())
    assert registry().model_name(run_key) == "nightshelf-tiny_shop"
    assert registry().experiment_name(run_key) == "nightshelf/tiny_shop"

from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.config.business_rules import BusinessRules, load_business_rules
from pipeline_tasks.config.settings import REPOSITORY
from tests.documented import shown_blocks

ARMS = """
experiment = "november"
[exclude]
stock_file = "stock.csv"
[shelf]
mmr_lambda = 0.9
max_per_brand = 3
[[arms]]
name = "control"
share = 0.75
[[arms]]
name = "bold"
share = 0.25
mmr_lambda = 0.4
exploration_share = 0.3
"""


def rules(folder: Path, text: str) -> BusinessRules:
    path = folder / "rules.toml"
    path.write_text(text)
    return load_business_rules(path)


def test_arms_inherit_values_of_the_section_shelf(tmp_path: Path) -> None:
    found = rules(tmp_path, ARMS)
    plans = {arm.name: (arm.share, arm.plan.mmr_lambda, arm.plan.max_per_brand) for arm in found.arms}
    assert plans == {"control": (0.75, 0.9, 3), "bold": (0.25, 0.4, 3)}
    assert [arm.plan.exploration_share for arm in found.arms] == [0.1, 0.3]
    assert found.exclude.stock_file == tmp_path / "stock.csv"


def test_the_guides_example_fits(tmp_path: Path) -> None:
    [example] = shown_blocks(REPOSITORY / "docs" / "guides" / "business-rules.md", "toml")
    found = rules(tmp_path, example)
    assert [(arm.name, arm.plan.mmr_lambda, arm.plan.exploration_share) for arm in found.arms] == [
        ("control", 0.9, 0.1),
        ("explorer", 0.9, 0.2),
    ]
    assert found.exclude.opt_outs_file == tmp_path / "opt_outs.csv"


def test_without_a_file_all_users_are_in_control() -> None:
    found = load_business_rules(None)
    assert [arm.name for arm in found.arms] == ["control"]
    assert found.assign(["ann", "bob"]).tolist() == [0, 0]


def test_arms_depend_on_experiment_and_user_alone(tmp_path: Path) -> None:
    found = rules(tmp_path, ARMS)
    keys = [f"u{number}" for number in range(20_000)]
    arms = found.assign(keys)
    # 3 standard errors of a share of .25 of 20,000 are .0092.
    assert abs((arms == 1).mean() - 0.25) < 0.0092
    assert np.array_equal(found.assign(keys[::-1]), arms[::-1])
    # Computed by hand once: a change would reshuffle every running test.
    assert arms[:8].tolist() == [0, 0, 1, 1, 1, 0, 0, 0]
    other = found.model_copy(update={"experiment": "december"}).assign(keys)
    # Independent draws differ in 2 x .75 x .25 of all.
    assert abs((arms != other).mean() - 0.375) < 0.011


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[shelf]\nmmr_lambda = 1.5", r"arms.0.mmr_lambda is 1.5: Input should be less than or equal to 1"),
        ("[shelf]\nmmr_lambda = -0.1", r"arms.0.mmr_lambda is -0.1: Input should be greater than or equal to 0"),
        ("[shelf]\nexploration_share = 2", r"exploration_share is 2: "),
        ("[shelf]\nmax_per_brand = 0", r"max_per_brand is 0: "),
        ("[shelf]\nlamda = 0.5", r"lamda is 0.5: Extra inputs are not permitted"),
        ("[exclude]\nblocked = ['a']", r"exclude.blocked is list: Extra inputs"),
        ("[[arms]]\nname = 'a'\nshare = 0.4", r"shares of the arms \['a'\] add up to 0.4"),
        ("[[arms]]\nname = 'a'\nshare = 0.5\n" * 2, r"arms \['a', 'a'\] share a name"),
        ("[[arms]]\nname = 'a'", r"arms.0.share is dict: Field required"),
        ("[shelf", r"are not valid TOML: "),
    ],
)
def test_an_invalid_value_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        rules(tmp_path, text)
    assert "rules.toml" in str(raised.value)


def test_a_missing_file_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone.toml do not exist: correct NIGHTSHELF_SCORING__SHELF_RULES"):
        load_business_rules(tmp_path / "gone.toml")

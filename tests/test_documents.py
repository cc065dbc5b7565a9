"""The documents keep their form: every page is listed, and the README stays short."""

import re
from pathlib import Path

import pytest

from pipeline_tasks.config.settings import REPOSITORY

DOCS = REPOSITORY / "docs"
DECISIONS = sorted((DOCS / "adr").glob("0*.md"))


def test_the_readme_is_one_page() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 130


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_a_page_outside_the_site_links_to_files_that_exist(name: str) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)", (REPOSITORY / name).read_text())
    # The line of the screenshot is a comment until the picture is there.
    assert [link for link in links if not link.endswith(".png") and not (REPOSITORY / link).exists()] == []


def test_the_chinese_readme_keeps_step() -> None:
    """Headings, commands, code, links and figures are those of the English one."""
    english, chinese = ((REPOSITORY / name).read_text() for name in ("README.md", "README.zh-CN.md"))
    blocks = re.compile(r"^```(?:sh|toml|mermaid)\n.*?^```$", flags=re.MULTILINE | re.DOTALL)
    assert blocks.findall(chinese) == blocks.findall(english)
    for pattern in (
        r"^#+(?= )",
        r"^[a-z_]+/|^  (?:[a-z_]+/ ?)+",
        r"^- ",
        r"\*?\*?\.\d{4}",
        r"`[^`\n]+`",
        r"\]\((?!README)([^)]+)\)",
    ):
        found, kept = (re.findall(pattern, blocks.sub("", text), flags=re.MULTILINE) for text in (english, chinese))
        assert found
        # Languages order the words of a sentence differently.
        assert sorted(kept) == sorted(found)


@pytest.mark.parametrize("folder", ["adr", "experiments"])
def test_the_list_of_a_folder_names_every_page(folder: str) -> None:
    pages = {page.name for page in (DOCS / folder).glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([^)/]+\.md)\)", (DOCS / folder / "README.md").read_text())) == pages


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_number_status_context_decision_and_consequences(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.name[:4]} ")
    assert re.findall(r"^\*\*(\w+)", text, flags=re.MULTILINE) == ["Status", "Context", "Decision", "Consequences"]


def test_numbers_of_decisions_follow_one_another() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_a_module_that_documents_name_exists() -> None:
    folders = ("airflow_pages", "dags", "pipeline_tasks", "spark_jobs", "tests")
    modules = {file.name for folder in folders for file in (REPOSITORY / folder).rglob("*.py")}
    pages = [*DOCS.rglob("*.md"), *REPOSITORY.glob("*.md")]
    named = {(page.name, name) for page in pages for name in re.findall(r"(?<![\w*])\w+\.py\b", page.read_text())}
    assert {(page, name) for page, name in named if name not in modules} == set()


def test_a_folder_in_the_tree_of_the_readme_exists() -> None:
    text = (REPOSITORY / "README.md").read_text()
    tree = text[text.index("## Where things are") : text.index("## Links")]
    packages = re.findall(r"^  ((?:\w+/ ?)+)", tree, flags=re.MULTILINE)
    named = [f"pipeline_tasks/{name}" for line in packages for name in line.replace("/", " ").split()]
    named += re.findall(r"^(\w+)/", tree, flags=re.MULTILINE)
    assert named
    assert [name for name in named if not (REPOSITORY / name).is_dir()] == []

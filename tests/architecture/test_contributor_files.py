"""The files that contributors read first: links resolve, commands exist, forms are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import detkit

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/*.md")])
FORMS = [
    path for path in sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")) if path.stem != "config"
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path):
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_contributing_names_only_targets_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\bmake ([a-z-]+)\b(?= {2,}|`)", text)) <= targets


def test_the_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == detkit.__version__
    assert citation["license"] == "Apache-2.0"


def test_the_workflow_runs_what_contributors_run():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["check"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_issue_forms_have_labelled_unique_fields(form: Path):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= content.keys()
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_named_files_exist(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    names = re.findall(r"`((?:detkit|conf|tests|scripts|docs|examples)/[\w./-]+)`", text)
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_the_architecture_names_every_package():
    table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## Packages")[1]
    named = set(re.findall(r"`(\w+)`", table.split("\n## ")[0]))
    packages = {path.parent.name for path in (ROOT / "detkit").glob("*/__init__.py")}
    assert packages - named == set()

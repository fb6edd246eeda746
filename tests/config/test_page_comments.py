"""The overrides in the comments of detkit's own pages are valid."""

from __future__ import annotations

import re

import pytest

from detkit.config.compose import compose
from detkit.config.folders import conf_folder
from detkit.config.page_list import page_groups, pages_of

PAGES = sorted(conf_folder().rglob("*.yaml"))
_CHOICE = re.compile(r"\b([a-z]+)=([a-z][a-z0-9_]*)\b")


def comment(page) -> str:
    lines = page.read_text(encoding="utf-8").splitlines()
    return " ".join(line.partition("#")[2] for line in lines if "#" in line)


def test_every_page_states_its_purpose():
    assert [page.name for page in PAGES if len(comment(page).split()) < 4] == []


def test_pages_that_comments_name_exist():
    known = {group: {page.name for page in pages_of(group)} for group in page_groups()}
    wrong = [
        f"{page.name}: {group}={name}"
        for page in PAGES
        for group, name in _CHOICE.findall(comment(page))
        if group in known and name not in known[group]
    ]
    assert wrong == []


def test_the_average_page_has_all_default_callbacks():
    pages = ("default", "average")
    default, average = (compose("train", [f"callbacks={page}"])["callbacks"] for page in pages)
    assert {**average, **default} == average


@pytest.mark.parametrize("model", ["ssd300", "ssd512"])
def test_overrides_for_ssd_from_scratch_are_valid(model):
    words = [f"model={model}", "model.backbone.norm=batch", "model.neck.norm=batch"]
    assert compose("train", [*words, f"augmentation={model}"])["model"]["neck"]["norm"] == "batch"

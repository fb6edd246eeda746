"""A path where the name of a page is expected."""

from __future__ import annotations

import pytest

from detkit.config.checks.mistaken_paths import refuse_path_options
from detkit.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("data=photos", "data.path=photos"),
        ("data=/data/coco", "data.path=/data/coco"),
        ("data='my photos/cells'", "data.path=my photos/cells"),
        ("data=cells/data.yaml", "data.path=cells"),
        ("data=shapes,photos", "data.path=photos"),
        ("model=best.pt", "weights=best.pt"),
        ("experiment=conf/experiment/x.yaml", "write experiment=x"),
    ],
)
def test_the_key_that_takes_the_path_is_named(word, answer, tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="takes the name of a page, not a path") as raised:
        refuse_path_options([word])
    assert answer in raised.value.problems[0]


def test_names_of_pages_and_parts_pass_even_beside_a_folder_of_the_name(tmp_path, monkeypatch):
    (tmp_path / "shapes").mkdir()
    monkeypatch.chdir(tmp_path)
    refuse_path_options(["data=shapes", "model=fcos", "model=one_stage", "experiment=demo"])


def test_a_page_in_a_folder_below_its_group_passes(tmp_path, monkeypatch):
    (tmp_path / "conf/experiment/mine").mkdir(parents=True)
    (tmp_path / "conf/experiment/mine/a.yaml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    refuse_path_options(["experiment=mine/a"])

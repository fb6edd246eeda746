"""`data.path=FOLDER` reads the user's images; shapes are rendered there only on request."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkit.config.compose import compose, prepare
from detkit.config.sweep_jobs import cells
from detkit.errors import ConfigError

OWN_PAGE = "# @package _global_\ndata: {path: photos}\n"


def reader_of(words: list[str], root: str = "train") -> str:
    return compose(root, words)["data"]["reader"]["name"]


# pain 42
@pytest.mark.parametrize(
    ("words", "reader"),
    [
        ([], "shapes"),
        (["data.path=X"], "auto"),
        (["++data.path=X"], "auto"),
        (["experiment=demo", "data.path=X"], "auto"),
        (["data=shapes", "data.path=X"], "shapes"),
        (["data.path=X", "data/reader=shapes"], "shapes"),
        (["data.path=X", "data/reader=coco"], "coco"),
        (["data.batch_size=2"], "shapes"),
    ],
    ids=" ".join,
)
def test_a_path_alone_means_the_users_own_images(words, reader):
    assert reader_of(words) == reader


def test_a_run_on_own_images_is_named_after_them():
    assert compose("train", ["data.path=X"])["run_name"] == "retinanet_folder"


def test_each_job_of_a_sweep_reads_its_own_path():
    found = cells("train", prepare(["data.path=X,Y", "seed=0"]))
    readers = [
        (cell.config["data"]["path"], cell.config["data"]["reader"]["name"]) for cell in found
    ]
    assert readers == [("X", "auto"), ("Y", "auto")]


@pytest.mark.parametrize(
    ("page", "reader"),
    [
        (OWN_PAGE, "auto"),
        (f"{OWN_PAGE}defaults: [override /data: shapes]\n", "shapes"),
        ("# @package _global_\ndata: {path: photos, reader: shapes}\n", "shapes"),
        ("# @package _global_\ndata: {batch_size: 2}\n", "shapes"),
    ],
)
def test_a_page_that_sets_the_path_alone_means_own_images(page, reader, tmp_path, monkeypatch):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(page, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert reader_of(["experiment=mine"]) == reader


def test_a_home_folder_in_a_page_is_expanded(tmp_path, monkeypatch):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    page = "# @package _global_\nweights: ~/run\nrun_folder: ~/runs/a\ndata: {path: ~/photos}\n"
    (folder / "mine.yaml").write_text(page, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    config = compose("train", ["experiment=mine"])
    paths = [config["weights"], config["run_folder"], config["data"]["path"]]
    assert paths == ["/home/me/run", "/home/me/runs/a", "/home/me/photos"]


def test_a_users_page_of_rendered_data_stays(tmp_path, monkeypatch):
    folder = Path(tmp_path / "conf" / "data")
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("defaults: [shapes]\nbatch_size: 3\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    config = compose("train", ["data=mine", "data.path=X"])["data"]
    assert (config["reader"]["name"], config["batch_size"]) == ("shapes", 3)


def test_a_setting_of_shapes_beside_a_bare_path_says_how_to_render():
    with pytest.raises(ConfigError, match=r"train_images: unknown key.*data=shapes data\.path="):
        compose("train", ["data.path=X", "data.reader.train_images=8"])


@pytest.mark.parametrize(("root", "reader"), [("evaluate", "auto"), ("resume", "shapes")])
def test_another_path_for_a_checkpoint_of_rendered_shapes(root, reader):
    stored = compose("train", [])
    stored["ckpt"] = "RUN"
    words = ["data.path=X"] if root == "resume" else ["data.path=X", "ckpt=RUN"]
    assert compose(root, words, stored)["data"]["reader"]["name"] == reader

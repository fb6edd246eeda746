"""A run folder names its data and weights so that it can be resumed from any folder."""

from pathlib import Path

import pytest
import yaml

from detkit.runs.frozen_config import freeze


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def frozen(**changes):
    content = {"ckpt": None, "run_folder": "run", "weights": None, "data": {"path": "photos"}}
    return yaml.safe_load((freeze({**content, **changes}) / "config.yaml").read_text())


# pain 49
@pytest.mark.parametrize(
    ("path", "expected"),
    [("photos", "{here}/photos"), ("../photos", "{above}/photos"), ("/mnt/photos", "/mnt/photos")],
)
def test_data_are_named_from_the_root(here, path, expected):
    content = frozen(data={"path": path, "workers": 2})
    assert content["data"]["path"] == expected.format(here=here, above=here.parent)
    assert content["data"]["workers"] == 2


def test_a_home_folder_is_written_out(here):
    assert frozen(data={"path": "~/photos"})["data"]["path"] == str(Path.home() / "photos")


def test_weights_of_a_file_are_named_from_the_root_and_others_stay(here):
    Path("weights.pth").touch()
    assert frozen(weights="weights.pth")["weights"] == str(here / "weights.pth")
    assert frozen(weights="resnet50", run_folder="other")["weights"] == "resnet50"

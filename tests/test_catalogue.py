"""systems.yaml of the catalogue names pages, parts and tests that exist; no page is missing."""

from pathlib import Path

import pytest
import yaml

import detkit
from detkit import registry
from detkit.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
SYSTEMS = yaml.safe_load((ROOT / "scripts/catalogue/systems.yaml").read_text(encoding="utf-8"))
WORDS = [word for system in SYSTEMS for word in system["use"]]


@pytest.mark.parametrize("word", WORDS)
def test_what_to_type_exists(word):
    first, _, name = word.replace("=", "/").partition("/")
    if word.startswith("detkit "):
        assert word.split()[1] in COMMANDS
    elif first == "model":
        assert (ROOT / f"conf/model/{name}.yaml").is_file()
    else:
        assert name in registry.names(first)


def test_every_page_of_a_detector_is_listed():
    pages = {path.stem for path in (ROOT / "conf/model").glob("*.yaml")}
    listed = {word.removeprefix("model=") for word in WORDS}
    assert {
        page
        for page in pages - listed
        if not page.startswith(("torchvision_", "mmdet_", "detectron2_"))
    } == set()


def test_every_test_of_a_comparison_exists():
    tests = {system["parity"]["test"] for system in SYSTEMS if "parity" in system}
    assert {test for test in tests if not (ROOT / test).exists()} == set()


@pytest.mark.slow
@pytest.mark.parametrize("system", [s for s in SYSTEMS if "small" in s], ids=lambda s: s["system"])
def test_the_small_version_is_a_configuration(system):
    config = detkit.compose([system["use"][0], *system["small"], "data=shapes"])
    assert config["model"]["head" if config["model"]["name"] == "one_stage" else "roi_head"]

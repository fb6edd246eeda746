"""Pages of plugins, plugins that fail to load, and the example plugins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detkit import registry
from detkit.config import plugins
from detkit.config.checks.safety import Trust
from detkit.config.compose import compose
from detkit.config.folders import page_folders, trust_of
from detkit.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
LOSS = '''
from detkit import register

@register("loss", "paged")
class Paged:
    """A loss of a plugin.

    Args:
        weight: Factor of this loss in the sum.
    """

    space = "codes"

    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = weight
'''
PAGE = "# @package _global_\nmodel: {head: {box_loss: paged}}\nseed: 1\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Write a file into an otherwise empty working directory; what it registers is taken back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETKIT_DISABLE_ENTRYPOINTS", "1")
    for name in ("_loaded_plugins", "plugin_failures"):
        monkeypatch.setattr(registry, name, {})
    monkeypatch.setattr(plugins, "_reported", set())
    before = set(registry._parts)

    def write_file(name: str, text: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    yield write_file
    for key in [k for k, p in registry._parts.items() if k not in before and p.plugin]:
        del registry._parts[key]


def test_pages_of_a_plugin_stand_behind_the_users_and_before_detkits(write, tmp_path):
    write("plugins/own/__init__.py", LOSS)
    write("plugins/own/conf/experiment/paged.yaml", PAGE)
    config = compose("train", ["experiment=paged"])
    assert config["model"]["head"]["box_loss"] == {"name": "paged", "weight": 1.0}
    assert config["seed"] == 1
    write("conf/experiment/paged.yaml", PAGE.replace("seed: 1", "seed: 2"))
    assert compose("train", ["experiment=paged"])["seed"] == 2
    own, brought, ours = page_folders()
    assert (own, brought) == (tmp_path / "conf", tmp_path / "plugins/own/conf")
    assert [trust_of(folder) for folder in (own, brought, ours)] == [
        Trust.USER,
        Trust.USER,  # as the code beside them
        Trust.DETKIT,
    ]
    assert trust_of(tmp_path / "plugins") is Trust.STRANGER


def test_pages_of_an_unloaded_plugin_are_not_available(write):
    write("elsewhere/own/__init__.py", LOSS)
    write("elsewhere/own/conf/experiment/paged.yaml", PAGE)
    with pytest.raises(ConfigError, match="experiment: there is no 'paged'"):
        compose("train", ["experiment=paged"])
    words = ["plugins=[elsewhere/own]", "experiment=paged"]
    assert compose("train", words)["model"]["head"]["box_loss"]["name"] == "paged"


def test_a_failing_plugin_is_reported_once_and_the_work_continues(write, caplog):
    write("plugins/broken.py", "import enoent_package\n")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert compose("train", ["model=fcos"])["model"]["head"]["name"] == "dense"
    (said,) = caplog.messages
    assert said.startswith("warning: plugin 'plugins/broken.py' could not be loaded: ")
    assert "\n" not in said


def test_page_of_a_plugin_that_fails_leads_to_its_own_error(write):
    write("plugins/own/__init__.py", "import enoent_package\n" + LOSS)
    write("plugins/own/conf/experiment/paged.yaml", PAGE)
    text = r"no loss 'paged'.*Plugin 'plugins/own' could not .*\(plugins/own/__init__\.py:1\)"
    with pytest.raises(ConfigError, match=text):  # pain 9
        compose("train", ["experiment=paged"])


def test_there_are_examples_of_four_families(write, monkeypatch):
    monkeypatch.setenv("DETKIT_PLUGIN_DIR", str(ROOT / "plugins"))
    registry.load_plugins()
    parts = registry._parts.values()
    families = {p.family for p in parts if p.plugin and p.file.is_relative_to(ROOT / "plugins")}
    assert families == {"neck", "loss", "reader", "callback"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_used_by_its_experiment_and_explained(name, write, monkeypatch):
    monkeypatch.setenv("DETKIT_PLUGIN_DIR", str(ROOT / "plugins"))
    config = compose("train", [f"experiment={name}", "data.path=DATA"])
    assert registry.plugins_of(config) == [str(ROOT / "plugins" / name)]
    readme = (ROOT / "plugins" / name / "README.md").read_text()
    assert len(readme.splitlines()) <= 10
    assert (ROOT / "plugins" / name / f"test_{name}.py").is_file()

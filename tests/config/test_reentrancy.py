"""Compositions neither see nor disturb each other, nor another program that uses Hydra."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from detkit import registry
from detkit.config import source
from detkit.config.compose import compose, compose_with_origins
from detkit.config.composition import composing, current, is_composing
from detkit.errors import ConfigError

PAN = ["model/neck=toy_pan", "model.neck.out_channels=7"]


# pain 78
def test_a_composition_inside_another_changes_neither(composed, write, monkeypatch):
    write("experiment/outer", "# @package _global_\nmodel: {neck: {name: toy_pan}}\ntitle: outer\n")
    alone, inner_results = composed("experiment=outer"), []
    read_page = source.read_page

    def read_and_compose(file, text):
        if file.stem == "outer" and not inner_results:
            inner_results.append(None)
            inner_results.append(compose("toy", ["title=inner"]))
        return read_page(file, text)

    monkeypatch.setattr(source, "read_page", read_and_compose)
    assert composed("experiment=outer") == alone
    monkeypatch.setattr(source, "read_page", read_page)
    assert inner_results[1] == composed("title=inner")


# pain 78
def test_threads_compose_different_overrides_at_once(composed):
    jobs = [["model/neck=toy_pan"], ["title=other"], [], PAN] * 3
    expected = [composed(*words) for words in jobs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda words: compose("toy", words), jobs)) == expected


# pain 78
def test_an_error_leaves_nothing_behind(composed, write):
    expected = composed()
    write("experiment/wrong", "# @package _global_\nmodel: {neck: {name: toy_pan}}\ntitel: x\n")
    with pytest.raises(ConfigError, match="titel"):
        composed("experiment=wrong")
    assert composed() == expected
    assert not is_composing()
    assert not GlobalHydra.instance().is_initialized()


def test_an_error_in_the_middle_of_a_page_leaves_nothing_behind(composed, write, monkeypatch):
    expected = composed()
    with monkeypatch.context() as patch:
        patch.setattr(source.pages, "part_node", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            composed()
    assert not GlobalHydra.instance().is_initialized()
    assert composed() == expected


def test_an_outer_composition_keeps_its_origins(write):
    with composing() as outer:
        compose("toy", PAN)
        assert current() is outer
        assert not outer.page_options
        assert outer.origins.lines("title") == []


def test_each_composition_knows_its_own_origins(write):
    first = compose_with_origins("toy", [])
    write("toy", "defaults: [{model: toy}, {block: small}, _self_]\n\n\n\ntitle: later\n")
    second = compose_with_origins("toy", [])
    lines = [c.composition.origins.find("title").line for c in (first, second)]
    assert lines == [6, 5]


def test_a_plugin_loaded_between_two_compositions_brings_its_parts(composed, tmp_path):
    with pytest.raises(ConfigError, match="toy_between"):
        composed("model/neck=toy_between")
    (tmp_path / "between.py").write_text(
        "from detkit import register\n\n\n"
        '@register("neck", "toy_between")\nclass Between:\n'
        '    """A neck."""\n\n    def __init__(self, *, width: int = 4) -> None: ...\n'
    )
    registry.load_plugins([str(tmp_path / "between.py")])
    assert composed("model/neck=toy_between")["model"]["neck"]["width"] == 4


# pain 78
def test_inside_another_hydra_program_nothing_of_it_changes(write, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "app.yaml").write_text("value: ${hydra:job.name}\n")
    with hydra.initialize_config_dir(str(tmp_path / "theirs"), job_name="x", version_base="1.2"):
        theirs = hydra.compose("app", return_hydra_config=True)
        HydraConfig.instance().set_config(theirs)
        application, job = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
        compose("toy", PAN)
        assert GlobalHydra.instance().hydra is application
        assert HydraConfig.instance().cfg is job
        assert str(hydra.version.getbase()) == "1.2"
        assert hydra.compose("app") == {"value": "${hydra:job.name}"}


def test_another_hydra_program_does_not_see_detkits_pages(composed, tmp_path):
    composed()  # makes detkit's sources known to Hydra
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "app.yaml").write_text("value: 1\n")
    with hydra.initialize_config_dir(str(tmp_path / "theirs"), "x", version_base="1.3"):
        config = hydra.compose("app", ["+model=toy"])
    assert config == {"value": 1, "model": "toy"}  # a plain value, not detkit's page


@pytest.mark.slow
def test_compose_inside_a_program_of_hydra_main(tmp_path):
    (tmp_path / "app.yaml").write_text("value: 3\n")
    (tmp_path / "app.py").write_text(
        "import hydra\nfrom hydra.core.hydra_config import HydraConfig\n"
        "from detkit.config.compose import compose\n\n\n"
        '@hydra.main(version_base="1.3", config_path=".", config_name="app")\n'
        "def main(config):\n"
        '    words = ["trainer.max_epochs=2"]\n'
        '    print(compose("train", words)["trainer"]["max_epochs"], config.value)\n'
        "    print(HydraConfig.get().job.name)\n\n\nmain()\n"
    )
    command = [sys.executable, str(tmp_path / "app.py"), "value=5"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.stdout.split() == ["2", "5", "app"], result.stderr

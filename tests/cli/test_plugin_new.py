"""`detkit plugin new`: its files work for every family, and never overwrite others."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from installing import install, python

from detkit import registry
from detkit.cli.main import main
from detkit.cli.plugin_new import TEMPLATES
from detkit.config.compose import compose
from detkit.contracts import LeftOutError, cases

FAMILIES = sorted({*(file.stem for file in TEMPLATES.glob("*.py")), "head"})
REFUSED = sorted(set(registry.FAMILIES) - set(FAMILIES))
LONG_CONTRACTS = ("backbone", "exporter", "layers")  # `head` has layers too
UNTRAINED = ("exporter", "writer")  # no training has one
COMPOSED_QUICKLY = ("callback", "neck", "reader")  # one of each kind


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a loaded plugin of each family with a template."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DETKIT_DISABLE_ENTRYPOINTS", "1")
        patch.delenv("DETKIT_PLUGIN_DIR", raising=False)
        for name in ("_loaded_plugins", "plugin_failures"):
            patch.setattr(registry, name, {})
        for family in FAMILIES:
            assert main(["plugin", "new", family, f"own_{family}"]) == 0
        registry.load_plugins()
        assert registry.plugin_failures == {}
        yield folder
    for family in FAMILIES:  # not the whole registry, into which parts of detkit came meanwhile
        del registry._parts["layers" if family == "head" else family, f"own_{family}"]


def test_each_family_has_a_template_or_is_refused_with_the_reason(capsys):
    assert REFUSED == ["detector", "proposer", "roi_head"]
    for family in REFUSED:
        assert main(["plugin", "new", family, "mine"]) == 2
        said = capsys.readouterr().err
        assert f"there is no template for a {family}, because it" in said
        example = said.split("detkit describe ")[1].split(" shows")[0].split()
        assert registry.part(*example).file.is_file()


@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=pytest.mark.slow) if f in LONG_CONTRACTS else f for f in FAMILIES],
)
def test_part_of_a_template_keeps_the_contract_of_its_family(family, written):
    kept = 0
    for case in cases(family, f"own_{family}"):
        with contextlib.suppress(*([LeftOutError] if family == "reader" else [])):
            case()
            kept += 1
    assert kept >= 2  # what a reader does with data is in its own test


@pytest.mark.parametrize(
    "family",
    [
        f if f in COMPOSED_QUICKLY else pytest.param(f, marks=pytest.mark.slow)
        for f in FAMILIES
        if f not in UNTRAINED
    ],
)
def test_experiment_of_a_template_takes_the_part(family, written, monkeypatch):
    monkeypatch.chdir(written)
    config = compose("train", [f"experiment=own_{family}", "data.path=DATA"])
    assert f"'name': 'own_{family}'" in str(config)


def test_parts_are_listed_with_where_they_come_from(written, monkeypatch, capsys):
    monkeypatch.chdir(written)
    assert main(["list", "neck"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "own_neck" in line]
    assert line.endswith("(folder own_neck)")
    assert main(["describe", "own_neck"]) == 0
    assert "File: plugins/own_neck/__init__.py (folder own_neck)" in capsys.readouterr().out


def test_readme_has_ten_lines_or_fewer_and_names_existing_files(written):
    for family in FAMILIES:
        text = (written / f"plugins/own_{family}/README.md").read_text()
        assert len(text.splitlines()) <= 10
        named = [word for word in text.split("`") if word.startswith("plugins/")]
        assert len(named) == (1 if family in UNTRAINED else 2)
        assert all((written / word).is_file() for word in named)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nek", "mine"], "there is no family 'nek'.*Did you mean 'neck'"),
        (["neck", "fpn"], "detkit has a neck 'fpn' of its own: choose another name"),
        (["head", "fcos"], "detkit has a head 'fcos' of its own: choose another name"),  # a page
        (["head", "towers"], "detkit has layers 'towers' of its own: choose another name"),
        (["neck", "demo"], "detkit has an experiment 'demo'.*such as demo_neck"),
        (["neck", "json"], "Python has a module 'json'.*such as json_neck"),
        (["neck", "torch"], "Python has a module 'torch'"),
        (["neck", "My-Neck"], "'My-Neck' is not a valid plugin name: use lower-case letters"),
        (["neck", "class"], "'class' is not a valid plugin name"),
        (["neck"], "takes FAMILY NAME and --package, got 'neck'"),
        (["neck", "mine", "--pack"], "takes FAMILY NAME and --package, got 'neck mine --pack'"),
        (["neck", "there"], "plugins/there exists already: choose another name, or move it"),
        (["neck", "file"], r"plugins/file\.py exists already"),
        (["neck", "there", "--package"], "there exists already"),
    ],
)
def test_bad_requests_are_refused_and_nothing_is_written(
    words, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for folder in ("plugins/there", "there"):
        Path(folder).mkdir(parents=True)
    Path("plugins/file.py").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main(["plugin", "new", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_written_tests_pass(family, written):
    """As a user runs them: in the folder, with the part's package imported by pytest itself."""
    done = python(written, "-m", "pytest", "-q", f"plugins/own_{family}")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_written_package_is_tested_and_installed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plugin", "new", "neck", "packed_neck", "--package"]) == 0
    before = python(tmp_path / "packed_neck", "-m", "pytest", "-q")
    assert before.returncode == 0, before.stdout[-3000:]
    site = install(tmp_path / "packed_neck", tmp_path / "site")
    work = tmp_path / "packed_neck" / "tests"  # the name is a folder's from the one above
    listed = python(work, "-m", "detkit.cli.main", "list", "neck", path=str(site))
    assert "(package packed-neck 0.1.0)" in listed.stdout
    words = ["config", "experiment=packed_neck"]
    for folder in (work, tmp_path):
        composed = python(folder, "-m", "detkit.cli.main", *words, path=str(site))
        assert "packed_neck: 64 channels at stride 8" in composed.stdout, composed.stderr

"""A plugin installed by pip works everywhere; without it, messages name it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from installing import ROOT, install, python
from PIL import Image
from tiny_run import TINY

PACKAGE = ROOT / "tests" / "installable"
SMALL = [word for word in TINY if not word.startswith(("model", "trainer.max", "callbacks="))]
TRAIN = ["experiment=level_gates", "model/backbone=timm", "model.backbone.model=test_resnet"]
QUICK = [*TRAIN, *SMALL, "debug=quick", "data.batch_size=4"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder into which pip installs the package, without a network."""
    return str(install(PACKAGE, tmp_path_factory.mktemp("site")))


@pytest.fixture(scope="module")
def runs(site: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of the two runs of a multirun, on two processes each."""
    folder = tmp_path_factory.mktemp("work")
    swept = ["-m", "model.neck.necks.gates.first_value=0.5,2.0", "trainer.devices=2"]
    words = [*QUICK, "data.batch_size=2", "hydra.sweep.dir=runs", *swept]
    done = python(folder, "-m", "detkit.cli.main", "train", *words, path=site)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return sorted(file.parent.parent for file in (folder / "runs").rglob("best.ckpt"))


def test_it_is_listed_described_and_completed(site, tmp_path):
    listed = python(tmp_path, "-m", "detkit.cli.main", "list", "neck", path=site).stdout
    (line,) = [line for line in listed.splitlines() if "level_gates" in line]
    assert line.endswith("A learned factor on each level. (package detkit-level-gates 1.2)")
    described = python(tmp_path, "-m", "detkit.cli.main", "describe", "level_gates", path=site)
    assert "(package detkit-level-gates 1.2)" in described.stdout
    assert "first_value  float > 0, default 1.0" in described.stdout
    for typed, offered in (("experiment=lev", "level_gates"), ("model/neck=le", "level_gates")):
        line = f"detkit train {typed}"
        words = ["-m", "detkit.cli.main", "-sc", "query=bash"]
        done = python(tmp_path, *words, path=site, COMP_LINE=line, COMP_POINT=str(len(line)))
        assert offered in done.stdout


def test_it_is_in_every_job_and_every_rank(runs):
    assert len(runs) == 2
    for run in runs:
        assert "level_gates" in (run / "config.yaml").read_text()
        plugins = json.loads((run / "environment.json").read_text())["plugins"]
        assert "detkit_level_gates" in str(plugins)


@pytest.mark.parametrize(
    "words", [["evaluate"], ["predict", "output=found", "source=PHOTOS"]], ids=lambda w: w[0]
)
def test_a_checkpoint_opens_with_its_package_and_names_the_package_if_missing(
    words, runs, site, tmp_path
):
    (photos := tmp_path / "PHOTOS").mkdir()
    Image.new("RGB", (96, 96)).save(photos / "one.jpg")
    command, *rest = words
    line = ["-m", "detkit.cli.main", command, f"ckpt={runs[-1]}", *rest]
    with_it = python(tmp_path, *line, path=site)
    assert with_it.returncode == 0, with_it.stderr[-2000:]
    without = python(tmp_path, *line)
    assert without.returncode == 2
    said = without.stderr.strip().splitlines()[-1]
    assert "there is no neck 'level_gates'" in said
    assert "made with plugins that are not loaded (detkit_level_gates.gates)" in said
    assert "add plugins=[detkit_level_gates.gates] (a module must be installed)" in said

"""The example of each public name runs, in a folder with a run and two photographs."""

import doctest
import shutil
from importlib import import_module

import numpy as np
import pytest
from PIL import Image

import detkit
from detkit.public_names import MODULES


class _Checker(doctest.OutputChecker):
    """A statement that shows no result may print what it likes, as a training does."""

    def check_output(self, want: str, got: str, flags: int) -> bool:
        return not want or super().check_output(want, got, flags)


@pytest.fixture
def folder(tiny_run, tmp_path, monkeypatch):
    shutil.copytree(tiny_run.folder, tmp_path / "runs/mine")
    shutil.copytree(tiny_run.config["data.path"], tmp_path / "runs/shapes")
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(tmp_path / f"photos/{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_examples_run(module, folder):
    detector = detkit.load("runs/mine", device="cpu")
    results = detector.predict("photos", threshold=0.0)
    names = {"detkit": detkit, "detector": detector, "results": results}
    runner = doctest.DocTestRunner(_Checker(), optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(import_module(module), extraglobs=names):
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_each_public_name_has_an_example():
    names = [name for name in MODULES if ">>>" not in getattr(detkit, name, detkit.data).__doc__]
    assert names == []

"""The example of each public name runs, in a folder with a run and three photographs."""

import doctest
import shutil
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

import detkit
from detkit import registry
from detkit.public_names import MODULES, import_name

# `Wired` is an alias and `__version__` a string; the example of `register` shows the former.
NAMES = sorted({*detkit.__all__} - {"Wired", "__version__"})


HAS_VIDEO = find_spec("av") is not None


class _Checker(doctest.OutputChecker):
    """A statement that shows no result may print what it likes, as a training does."""

    def check_output(self, want: str, got: str, flags: int) -> bool:
        return not want or super().check_output(want, got, flags)


@pytest.fixture
def folder(tiny_run, tmp_path, monkeypatch):
    shutil.copytree(tiny_run.folder, tmp_path / "runs/mine")
    shutil.copytree(tiny_run.config["data.path"], tmp_path / "runs/shapes")
    (tmp_path / "photos").mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(tmp_path / f"photos/{name}.png")
    if HAS_VIDEO:
        write_clip = import_module("clips").write_clip
        write_clip(tmp_path / "clip.mp4", pictures=[np.zeros((96, 96, 3), np.uint8)] * 8)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def names(folder):
    """Names that examples may use without defining them."""
    detector = detkit.load("runs/mine", device="cpu")
    results = detector.predict("photos", threshold=0.0)
    yield {"detkit": detkit, "detector": detector, "results": results, "__name__": __name__}
    registry._parts.pop(("neck", "unchanged"), None)  # of the example of register


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("module", sorted({*MODULES.values(), "detkit.errors", "detkit.registry"}))
def test_examples_run(module, names):
    runner = doctest.DocTestRunner(_Checker(), optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(import_module(module), extraglobs=names):
        test.examples = [e for e in test.examples if HAS_VIDEO or "clip.mp4" not in e.source]
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_each_public_name_has_an_example():
    functions = [import_name("load_data") if n == "data" else getattr(detkit, n) for n in NAMES]
    lacking = [function.__name__ for function in functions if ">>>" not in function.__doc__]
    assert lacking == []

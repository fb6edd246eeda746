"""The public API: its names, how light it is to import, and an example for each."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import detkit
from detkit.public_names import import_name

PUBLIC = {
    *("Detector", "Result", "load"),
    *("Config", "Run", "build", "compose", "data", "train"),
    *("ConfigError", "DataError", "UserError"),
    *("Slot", "Wired", "register", "__version__"),
}
HEAVY = {"torch", "torchvision", "lightning", "hydra", "omegaconf", "numpy", "PIL", "pydantic"}


def test_all_is_the_whole_public_api():
    assert set(detkit.__all__) == PUBLIC
    assert list(detkit.__all__) == sorted(detkit.__all__)
    assert dir(detkit) == detkit.__all__


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_name_exists_and_is_documented(name):
    value = getattr(detkit, name)
    assert name == "__version__" or value.__doc__


def test_importing_detkit_loads_nothing_heavy():
    code = "import json, sys, detkit; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in json.loads(done.stdout)} & HEAVY


def test_a_misspelt_name_gets_the_nearest():
    with pytest.raises(AttributeError, match=r"no attribute 'laod'\. Did you mean 'load'\?"):
        _ = detkit.laod


def test_the_package_tells_type_checkers_that_it_is_typed():
    assert (Path(detkit.__file__).parent / "py.typed").is_file()


def test_without_torch_the_error_says_what_works(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "detkit.api.run_backend", raising=False)
    with pytest.raises(detkit.UserError, match=r"needs the package torch.*only runs exported"):
        import_name("open_run")

"""Errors that the user of a part sees when the part itself fails."""

import traceback

import pytest

from detkit import registry
from detkit.assembly import build

BROKEN = '''
from detkit import register


@register("sampler", "broken")
class Broken:
    """Fails as it is built.

    Args:
        ratio: Any number.
    """

    def __init__(self, *, ratio: float = 0.5) -> None:
        {}[ratio]
'''


@pytest.fixture
def broken(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    monkeypatch.setattr(registry, "_loaded_plugins", {})
    file = tmp_path / "broken_part.py"
    file.write_text(BROKEN)
    registry.load_plugins([str(file)])
    return file


def test_fault_of_a_part_keeps_its_type_and_place_and_names_the_config_path(broken):
    # pain 10
    with pytest.raises(KeyError) as raised:
        build("sampler", {"name": "broken", "ratio": 0.5}, {}, ("model", "head", "sampler"))
    assert traceback.extract_tb(raised.value.__traceback__)[-1].filename == str(broken)
    assert raised.value.__notes__ == ["while building model.head.sampler: sampler 'broken'"]

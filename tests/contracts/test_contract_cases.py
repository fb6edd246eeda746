"""`detkit.contracts`, as tests of plugins use it."""

import numpy as np
import pytest
import torch
from torch import nn

from detkit import registry
from detkit.contracts import BrokenContractError, Case, LeftOutError, cases
from detkit.errors import ConfigError, UserError
from detkit.structures import FeatureSpec

NEEDY = ("albumentations", "dense", "sequence", "timm")  # cannot be built from defaults


def a_neck(**members):
    """A neck of one convolution for all levels, as a function builds it."""
    base = registry.get("neck", "projection")
    return type("Part", (base,), {"__doc__": "A neck.", "__module__": __name__, **members})


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_every_family_promises_something_of_its_own(family):
    parts = [n for n in registry.names(family) if n not in NEEDY]
    name = parts[0] if parts else "fcos"  # heads are pages
    titles = [str(case) for case in cases(family, name)]
    assert titles[:2] == ["it can be built", "it describes itself"]
    assert len(titles) > 2
    assert len(set(titles)) == len(titles)


def test_what_a_loss_promises_follows_from_its_space():
    titles = {name: {str(case) for case in cases("loss", name)} for name in ("focal", "giou")}
    assert "ignored priors do not affect others" in titles["focal"] - titles["giou"]
    assert "exact predictions have the lowest loss" in titles["giou"] - titles["focal"]


def test_a_broken_promise_names_part_file_and_remedy():
    registry.register("neck", "mine")(a_neck(forward=lambda self, features: features[:2]))
    case = next(case for case in cases("neck", "mine") if "feature specs" in str(case))
    with pytest.raises(BrokenContractError) as caught:
        case()
    assert str(caught.value) == (
        f"neck 'mine' ({__file__}) breaks the promise 'maps match feature specs': "
        "feature_specs lists 5 levels, forward returned 2: list all levels."
    )
    assert isinstance(caught.value, UserError)


def test_an_error_of_the_part_shows_its_own_last_line():
    def forward(self, features):
        return nn.Conv2d(3, 3, 1)(features[0])  # fails inside torch

    registry.register("neck", "mine")(a_neck(forward=forward))
    case = next(case for case in cases("neck", "mine") if "feature specs" in str(case))
    with pytest.raises(BrokenContractError, match=r"it raised RuntimeError: .* \(at .*: return nn"):
        case()


def test_values_are_the_constructor_defaults_as_yaml():
    subject = cases("neck", "fpn", out_channels=48)[0].subject
    neck = subject.build(feature_specs=[FeatureSpec(8, 2**n) for n in (3, 4, 5)])
    assert {spec.channels for spec in neck.feature_specs} == {48}
    with pytest.raises(ConfigError, match=r"out_channels: expected int > 0, got 'many'"):
        cases("neck", "fpn", out_channels="many")
    with pytest.raises(ConfigError, match=r"chanels: unknown key. Did you mean 'out_channels'"):
        cases("neck", "fpn", out_chanels=3)


def test_a_value_without_default_is_asked_for():
    with pytest.raises(ConfigError, match=r"model: a value is missing .* Set model=VALUE"):
        cases("backbone", "timm")
    assert all(isinstance(case, Case) for case in cases("backbone", "timm", model="resnet18"))


def test_a_default_of_another_type_is_told_with_the_file():
    def build(*, width: int = "x") -> nn.Module:
        """A neck."""

    registry.register("neck", "mine")(build)
    with pytest.raises(
        UserError, match=r"test_contract_cases.py\): the default of 'width' is 'x', expected"
    ):
        cases("neck", "mine")


def test_there_is_no_such_part():
    with pytest.raises(UserError, match=r"there is no neck 'fpnn'. Did you mean 'fpn'"):
        cases("neck", "fpnn")


def test_checks_of_random_outputs_are_skipped():
    def forward(self, features):
        return [level + torch.rand(()) for level in features]

    registry.register("neck", "mine")(a_neck(forward=forward))
    case = next(case for case in cases("neck", "mine") if "state dict" in str(case))
    with pytest.raises(LeftOutError, match="its outputs are random"):
        case()


def test_a_case_leaves_random_generators_as_they_were():
    torch.manual_seed(5)
    np.random.seed(5)  # the global one is meant
    before = torch.get_rng_state()
    for case in cases("neck", "pan")[:4]:
        case()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_plugin_is_loaded_as_on_the_command_line(tmp_path, monkeypatch):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "quiet.py").write_text(
        "from detkit import register\n\n\n"
        '@register("scheduler", "from_a_folder")\n'
        'class Half:\n    """Half the rate."""\n\n'
        "    def __call__(self, step: int, total_steps: int) -> float:\n        return 0.5\n"
    )
    monkeypatch.chdir(tmp_path)
    for case in cases("scheduler", "from_a_folder"):
        case()


def test_a_part_that_ends_the_program_breaks_its_promise():
    def forward(self, features):
        raise SystemExit(0)

    registry.register("neck", "mine")(a_neck(forward=forward))
    case = next(case for case in cases("neck", "mine") if "feature specs" in str(case))
    with pytest.raises(BrokenContractError, match=r"it raised SystemExit: 0 \(at"):
        case()

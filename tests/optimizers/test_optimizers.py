import pytest
import torch
from contract_cases import each_promise
from torch import nn
from torchvision import models

from detkit import compose, registry
from detkit.backbones.timm import TimmBackbone
from detkit.errors import UserError
from detkit.ops.network_blocks import NetworkBlock
from detkit.optimizers.adamw import AdamW
from detkit.optimizers.older_state import regrouped
from detkit.optimizers.parameter_groups import grouped_names, parameter_groups
from detkit.optimizers.sgd import SGD
from detkit.optimizers.weight_decay import exempt_by_shape


@each_promise("optimizer")
def test_an_optimizer_keeps_its_contract(case):
    case()


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.Conv2d(4, 4, 1), nn.LayerNorm([4, 2, 2]))
        self.scale = nn.Parameter(torch.tensor(1.0))


def described(model, groups):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }


def test_groups_by_backbone_and_decay():
    model = Detector()
    assert described(model, parameter_groups(model, 1.0, 0.5, 0.1)) == {
        "backbone.0.weight": (0.1, 0.5),
        "backbone.0.bias": (0.1, 0.0),
        "backbone.1.weight": (0.1, 0.0),
        "backbone.1.bias": (0.1, 0.0),
        "head.0.weight": (1.0, 0.5),
        "head.0.bias": (1.0, 0.0),
        "head.1.weight": (1.0, 0.0),  # of three dimensions, but a norm's
        "head.1.bias": (1.0, 0.0),
        "scale": (1.0, 0.0),
    }


def test_frozen_parameters_are_left_out():
    model = Detector()
    model.backbone.requires_grad_(False)
    groups = parameter_groups(model, 1.0, 0.5, 0.1)
    assert not any(name.startswith("backbone") for name in described(model, groups))
    assert len(groups) == 2


def test_nothing_to_train_is_refused():
    with pytest.raises(UserError, match="no parameter of the detector is trainable"):
        parameter_groups(Detector().requires_grad_(False), 1.0, 0.5, 0.1)


@pytest.mark.parametrize("optimizer", [SGD, AdamW])
def test_learning_rate_is_scaled_only_on_request(optimizer):
    as_given = optimizer(learning_rate=0.02)(Detector(), 8)
    scaled = optimizer(learning_rate=0.02, reference_batch=16)(Detector(), 8)
    assert {group["lr"] for group in as_given.param_groups} == {0.02}
    assert {group["lr"] for group in scaled.param_groups} == {0.01}


def test_sgd_step_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    step = SGD(learning_rate=0.1, momentum=0.5, weight_decay=0.5)(model, 1)
    for _ in range(2):  # gradients 3: 3 + .5 * 2 = 4 -> 1.6; 3 + .5 * 1.6 + .5 * 4 = 5.8 -> 1.02
        model.weight.grad = torch.full((1, 1), 3.0)
        step.step()
    torch.testing.assert_close(model.weight.data, torch.tensor([[1.02]]))


def test_adamw_step_by_hand():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    step = AdamW(learning_rate=0.1, weight_decay=0.5, betas=(0.9, 0.99))(model, 1)
    model.weight.grad = torch.full((1, 1), 3.0)
    step.step()  # decay: 2 - .1 * .5 * 2 = 1.9; the first step of Adam is the learning rate
    torch.testing.assert_close(model.weight.data, torch.tensor([[1.8]]))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(UserError, match="nesterov needs a momentum above 0"):
        SGD(momentum=0.0, nesterov=True)


def undecayed(model):
    groups = parameter_groups(model, 1.0, 0.5, 1.0)
    return {name for name, (_, decay) in described(model, groups).items() if decay == 0}


def timm_backbone(name):
    with torch.device("meta"):
        return nn.ModuleDict({"backbone": TimmBackbone(model=name, fetch_weights=False)})


@pytest.mark.slow
def test_the_position_biases_that_timms_swin_exempts_get_no_decay():
    exempt = undecayed(timm_backbone("swin_tiny_patch4_window7_224"))
    biases = {name for name in exempt if name.endswith("relative_position_bias_table")}
    assert len(biases) == 12  # one for each block


def test_a_timm_backbone_passes_on_what_its_model_exempts():
    backbone = TimmBackbone(model="test_vit", levels=(4,))
    exempt = {name.rpartition(".")[2] for name in backbone.no_weight_decay()}
    assert {"pos_embed", "cls_token"} <= exempt
    assert exempt <= {"pos_embed", "cls_token", "reg_token", "dist_token"}


@pytest.mark.parametrize(
    ("model", "builder", "name"),
    [
        ("swin", models.swin_t, "features.1.0.attn.relative_position_bias_table"),
        ("convnext", models.convnext_tiny, "features.1.0.layer_scale"),
        ("vit", models.vit_b_32, "encoder.pos_embedding"),
        ("vit", models.vit_b_32, "class_token"),
    ],
)
def test_torchvisions_transformers_exempt_what_their_papers_do(model, builder, name):
    with torch.device("meta"):
        assert name in undecayed(builder())


class Exempting(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.tables = nn.ModuleList([nn.Linear(2, 2, bias=False)])

    def no_weight_decay(self):
        return {"second.weight", "tables.*"}


def test_a_module_exempts_its_own_parameters_by_name_and_by_pattern():
    model = nn.ModuleDict({"backbone": Exempting(), "second": nn.Linear(2, 2, bias=False)})
    assert undecayed(model) == {"backbone.second.weight", "backbone.tables.0.weight"}


class Swinish(nn.Module):
    """A parameter that older versions decayed, between two without a change."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.relative_position_bias_table = nn.Parameter(torch.ones(3, 2))
        self.last = nn.Linear(2, 2)


def test_the_state_of_an_older_optimizer_reaches_the_same_parameters():
    model = Swinish()
    named = dict(model.named_parameters())
    before = grouped_names(model, exempt_by_shape(model))
    old = torch.optim.AdamW([{"params": [named[n] for n in names]} for names in before.values()])
    sum((number + 1) * p.sum() for number, p in enumerate(model.parameters())).backward()
    old.step()
    new = AdamW()(model, 1)
    with pytest.raises(ValueError, match="doesn't match the size"):
        new.load_state_dict(old.state_dict())
    new.load_state_dict(regrouped(old.state_dict(), model))
    for parameter in model.parameters():
        assert torch.equal(new.state[parameter]["exp_avg"], old.state[parameter]["exp_avg"])
    assert regrouped(new.state_dict(), model) == new.state_dict()


def test_the_arguments_of_every_optimizer_reach_torch():
    model = Detector()
    groups = {
        name: registry.get("optimizer", name)(**arguments)(model, 1).param_groups[0]
        for name, arguments in {
            "adam": {"betas": (0.5, 0.6), "eps": 0.1, "amsgrad": True},
            "nadam": {"momentum_decay": 0.1},
            "radam": {"betas": (0.5, 0.6)},
            "adamax": {"eps": 0.1},
            "rmsprop": {"alpha": 0.5, "momentum": 0.6, "centered": True},
            "adagrad": {"initial_accumulator": 0.5},
            "adadelta": {"rho": 0.5},
        }.items()
    }
    adam, rmsprop = groups["adam"], groups["rmsprop"]
    assert (adam["betas"], adam["eps"], adam["amsgrad"]) == ((0.5, 0.6), 0.1, True)
    assert (rmsprop["alpha"], rmsprop["momentum"], rmsprop["centered"]) == (0.5, 0.6, True)
    assert groups["nadam"]["momentum_decay"] == 0.1
    assert groups["radam"]["betas"] == (0.5, 0.6)
    assert groups["adamax"]["eps"] == 0.1
    assert groups["adagrad"]["initial_accumulator_value"] == 0.5
    assert groups["adadelta"]["rho"] == 0.5


@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_every_optimizer_slows_the_backbone_and_spares_norms(name):
    factory = registry.get("optimizer", name)
    settings = {"learning_rate": 1.0, "weight_decay": 0.5, "backbone_factor": 0.1}
    optimizer = factory(**settings, reference_batch=16)(Detector(), 8)
    rates = [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert rates == [(0.5, 0.5), (0.5, 0.0), (0.05, 0.5), (0.05, 0.0)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lbfgs", "L-BFGS evaluates the loss several times per step"),
        ("LBFGS", "Choose adamw or sgd"),
        ("sparse_adam", "SparseAdam needs sparse gradients"),
        ("asgd", "Choose sgd with callbacks=average"),
        ("rprop", "ignores the schedule"),
        ("muon", "convolutions have four dimensions"),
        ("adafactor", "the kernel"),
    ],
)
def test_an_optimizer_that_cannot_train_a_detector_is_refused_with_the_reason(name, reason):
    with pytest.raises(UserError, match=reason):
        compose([f"optimizer={name}"])


class Staged(nn.Module):
    """A backbone with a stem, two blocks and a layer that is in none."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(4))

    def ordered_blocks(self):
        stages = ("stem", "stage1", "stage2")
        return [NetworkBlock(s, (f"layers.{n}.weight",)) for n, s in enumerate(stages)]


def test_the_learning_rate_decays_with_each_block_towards_the_stem():
    model = nn.ModuleDict({"backbone": Staged(), "head": nn.Linear(2, 2, bias=False)})
    rates = described(model, parameter_groups(model, 1.0, 0.5, 0.1, layer_decay=0.5))
    assert {name: rate for name, (rate, _) in rates.items()} == pytest.approx(
        {
            "backbone.layers.0.weight": 0.1 * 0.5**3,
            "backbone.layers.1.weight": 0.1 * 0.5**2,
            "backbone.layers.2.weight": 0.1 * 0.5,
            "backbone.layers.3.weight": 0.1,
            "head.weight": 1.0,
        }
    )


def test_without_layer_decay_the_groups_are_the_same_with_and_without_blocks():
    model = nn.ModuleDict({"backbone": Staged(), "head": nn.Linear(2, 2, bias=False)})
    assert [len(g["params"]) for g in parameter_groups(model, 1.0, 0.5, 0.1)] == [1, 4]


def test_layer_decay_needs_a_backbone_with_blocks():
    with pytest.raises(UserError, match=r"layer_decay: Sequential lists no blocks"):
        parameter_groups(Detector(), 1.0, 0.5, 0.1, layer_decay=0.5)


@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_every_optimizer_has_layer_decay(name):
    model = nn.ModuleDict({"backbone": Staged(), "head": nn.Linear(2, 2, bias=False)})
    optimizer = registry.get("optimizer", name)(learning_rate=1.0, layer_decay=0.5)(model, 1)
    assert sorted({group["lr"] for group in optimizer.param_groups}) == [0.125, 0.25, 0.5, 1.0]

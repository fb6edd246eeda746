"""Optimizers, schedulers, callbacks and loggers that break a promise are caught."""

import lightning.pytorch as pl
import pytest
import torch
from faults import Faults, case_of, require_caught
from lightning.pytorch.loggers.logger import DummyLogger

from detkit import registry
from detkit.contracts import LeftOutError

faults = Faults()
ALIKE = "training is unchanged"
RESUMED = "training resumes from its checkpoint"
HOOKS = "hooks match lightnings signatures"


def fault(promise, says):
    """A callback with these members."""

    def keep(members):
        def make(base):
            return type("Part", (pl.Callback,), {"__doc__": "A callback.", **members()})

        make.__name__ = members.__name__
        return faults.add("callback", "batch_check", promise, says)(make)

    return keep


@faults.add("callback", "batch_check", "it has lightnings type", "inherit from lightning.pytorch")
def no_callback(base):
    return type("Part", (), {"__doc__": "A callback.", "__init__": lambda self: None})


@fault(HOOKS, "Lightning never calls `on_train_epoch_ends`. Did you mean 'on_train_epoch_end'")
def a_hook_of_another_name():
    return {"on_train_epoch_ends": lambda self, trainer, pl_module: None}


@fault(HOOKS, "`on_train_batch_end` cannot be called with Lightning's arguments .*: too many")
def a_hook_of_fewer_arguments():
    return {"on_train_batch_end": lambda self, trainer, pl_module: None}


@fault(ALIKE, "at step 2 the loss is .*, without the part .*: draw random numbers from")
def it_draws_random_numbers():
    return {"on_train_batch_end": lambda self, *args: torch.rand(1) and None}


@fault(ALIKE, "at step 2 the loss is")
def it_changes_the_weights():
    def on_train_batch_end(self, trainer, pl_module, *args):
        for parameter in pl_module.parameters():
            parameter.data.mul_(0.9)

    return {"on_train_batch_end": on_train_batch_end}


@fault(RESUMED, "cannot be loaded with weights_only=True")
def it_keeps_an_object():
    return {"state_dict": lambda self: {"value": torch.nn.Linear(1, 1)}}


@fault(RESUMED, "raised KeyError: 'other' .*test_faulty_training.py")
def it_expects_another_state():
    return {
        "state_dict": lambda self: {"value": 1},
        "load_state_dict": lambda self, state: state["other"],
    }


@faults.add(
    "logger",
    "tensorboard",
    "metrics and hyperparameters are logged",
    "raised TypeError: .*test_faulty",
)
def it_takes_no_nested_values(base):
    class Part(DummyLogger):
        """A logger."""

        def log_hyperparams(self, params):
            return {value: key for key, value in params.items()}

    return Part


@faults.add(
    "optimizer", "sgd", "every trainable parameter is in one group", "'head.weight' is in 0 groups"
)
def only_the_backbone_learns(base):
    class Part(base):
        def __call__(self, model, total_batch):
            return super().__call__(torch.nn.ModuleDict({"backbone": model.backbone}), total_batch)

    return Part


@faults.add("optimizer", "sgd", "the loss decreases", "the loss did not decrease: from")
def it_climbs(base):
    class Part(base):
        def __call__(self, model, total_batch):
            optimizer = super().__call__(model, total_batch)
            for group in optimizer.param_groups:
                group["maximize"] = True
            return optimizer

    return Part


@faults.add(
    "optimizer", "sgd", "it resumes from its state", "store all state in `state` and the groups"
)
def its_momentum_is_not_saved(base):
    class Part(base):
        def __call__(self, model, total_batch):
            optimizer = super().__call__(model, total_batch)
            optimizer.register_state_dict_post_hook(lambda _, state: {**state, "state": {}})
            return optimizer

    return Part


@faults.add("scheduler", "constant", "factors are finite and not negative", "expected 0 or more")
def negative_factors(base):
    class Part(base):
        def __call__(self, step, total_steps):
            return 0.5 - step / total_steps

    return Part


@faults.add(
    "scheduler", "constant", "factors are finite and not negative", "raised ZeroDivisionError"
)
def one_step_is_too_short(base):
    class Part(base):
        def __call__(self, step, total_steps):
            return 1 - step / (total_steps - 1)

    return Part


@faults.add("scheduler", "constant", "factors depend on the step alone", "the order of the calls")
def it_counts_calls(base):
    class Part(base):
        calls = 0

        def __call__(self, step, total_steps):
            self.calls += 1
            return 1 / self.calls

    return Part


@faults.parametrize()
def test_the_fault_of_training_is_caught(fault):
    require_caught(fault)


def test_a_callback_may_say_that_it_changes_the_training():
    members = {"__doc__": "A callback.", "changes_training": True}
    registry.register("callback", "faulty")(type("Part", (pl.Callback,), members))
    with pytest.raises(LeftOutError, match="changes the training"):
        case_of("callback", "faulty", ALIKE)()

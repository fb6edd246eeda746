"""One norm for the check of non-finite values and for clipping."""

import pytest
import torch

from detkit.training.gradient_norm import GradientNorm, clip


def optimizer_of(*gradients):
    parameters = [torch.nn.Parameter(torch.zeros(len(gradient))) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient)
    unused = torch.nn.Parameter(torch.zeros(2))
    return torch.optim.SGD([{"params": parameters[:1]}, {"params": [*parameters[1:], unused]}])


def gradients(optimizer):
    groups = optimizer.param_groups
    return [p.grad.clone() for group in groups for p in group["params"] if p.grad is not None]


@pytest.mark.parametrize("largest", [0.5, 12.9999995, 13.0, 13.000002, 20.0])
@pytest.mark.parametrize("last", [12.0, 1e30, float("nan")])
def test_clipping_by_a_known_norm_equals_pytorchs(largest, last):
    ours, theirs = (optimizer_of([3.0, 4.0], [last]) for _ in range(2))
    clip(ours, GradientNorm().compute(ours), largest)
    torch.nn.utils.clip_grad_norm_(
        [p for group in theirs.param_groups for p in group["params"]], largest
    )
    for mine, other in zip(gradients(ours), gradients(theirs), strict=True):
        torch.testing.assert_close(mine, other, atol=0, rtol=0, equal_nan=True)


def test_a_norm_is_used_once():
    optimizer, norm = optimizer_of([3.0, 4.0]), GradientNorm()
    assert norm.pop(optimizer) is None
    norm.compute(optimizer)
    assert norm.pop(optimizer) == 5
    assert norm.pop(optimizer) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda parameter: parameter.grad.mul_(2),
        lambda parameter: setattr(parameter, "grad", parameter.grad.clone()),
        lambda parameter: setattr(parameter, "grad", None),
    ],
)
def test_a_norm_of_gradients_that_have_changed_is_not_used(change):
    optimizer, norm = optimizer_of([3.0, 4.0], [12.0]), GradientNorm()
    norm.compute(optimizer)
    change(optimizer.param_groups[1]["params"][0])
    assert norm.pop(optimizer) is None

"""CmBN: the statistics of the batches so far in an optimizer step."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from detkit.ops.cross_mini_batch_norm import CrossMiniBatchNorm


def batches(*sizes):
    """Batches of some images, with a mean and deviation far from 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    return [100 + 3 * torch.randn(size, 2, 4, 4, generator=generator) for size in sizes]


def test_statistics_by_hand():
    norm = CrossMiniBatchNorm(1, eps=0.0)
    norm.begin_step()
    first = norm(torch.tensor([0.0, 2.0]).view(2, 1, 1, 1))  # mean 1, variance 1
    assert first.flatten().tolist() == [-1, 1]
    # 0, 2, 4, 6 have mean 3 and variance 5.
    second = norm(torch.tensor([4.0, 6.0]).view(2, 1, 1, 1))
    assert_close(second.flatten(), torch.tensor([1.0, 3.0]) / 5**0.5)
    assert_close(norm.running_mean, torch.tensor([0.3]))  # a tenth of 3
    assert_close(norm.running_var, torch.tensor([0.9 + 0.1 * 20 / 3]))  # of 5 * 4 / 3


@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 1)])
def test_the_last_batch_of_a_step_has_the_statistics_of_one_large_batch(sizes):
    norm, large = CrossMiniBatchNorm(2), nn.BatchNorm2d(2)
    for seed in range(2):  # of two steps
        parts = [part + seed for part in batches(*sizes)]
        norm.begin_step()
        outputs = [norm(part) for part in parts]
        expected = large(torch.cat(parts))
        assert_close(outputs[-1], expected[-sizes[-1] :], rtol=0, atol=1e-5)
    assert_close(norm.running_mean, large.running_mean)
    assert_close(norm.running_var, large.running_var)


def test_without_steps_it_is_batch_norm_with_its_gradients():
    norm, plain = CrossMiniBatchNorm(2), nn.BatchNorm2d(2)
    for part in batches(2, 3):
        inputs = [part.clone().requires_grad_() for _ in range(2)]
        outputs = [layer(x) for layer, x in zip((norm, plain), inputs, strict=True)]
        assert_close(*outputs, rtol=0, atol=1e-5)
        for output in outputs:
            (output**3).sum().backward()
        assert_close(inputs[0].grad, inputs[1].grad, rtol=0, atol=1e-3)


def test_gradients_flow_through_the_share_of_the_batch_itself():
    first, second = (part.double() for part in batches(2, 2))
    norm = CrossMiniBatchNorm(2).double()

    def second_output(values):
        norm.begin_step()
        norm(first)
        return norm(values)

    assert torch.autograd.gradcheck(second_output, second.requires_grad_())


def test_evaluation_uses_the_running_statistics_and_changes_nothing():
    norm = CrossMiniBatchNorm(2)
    norm.begin_step()
    norm(batches(2)[0])
    before = {name: value.clone() for name, value in norm.named_buffers()}
    plain = nn.BatchNorm2d(2).eval()
    plain.load_state_dict(norm.state_dict())  # the names are those of a batch norm
    assert_close(norm.eval()(batches(3)[0]), plain(batches(3)[0]))
    assert all(torch.equal(before[name], value) for name, value in norm.named_buffers())


def test_half_precision_counts_in_float32():
    norm = CrossMiniBatchNorm(2)
    output = norm(batches(4)[0].bfloat16())
    assert output.dtype == torch.bfloat16
    assert norm.running_mean.dtype == torch.float32

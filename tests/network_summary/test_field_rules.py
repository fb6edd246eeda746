"""Receptive fields of each value against the gradients of a real computation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import DeformConv2d

from detkit.network_summary.layers import traced_fields
from detkit.network_summary.pixel_fields import NOWHERE, PixelFields

SIZE = (9, 11)


def conv(*arguments: int, **options: int) -> nn.Module:
    return nn.Conv2d(*arguments, **options).double()


def attention(x: Tensor) -> Tensor:
    rows = x[..., 0].transpose(1, 2)  # (B, H, C): only the first column
    return torch.softmax(rows @ rows.transpose(1, 2), -1) @ rows


def shuffled(x: Tensor) -> Tensor:
    pieces = torch.cat([F.avg_pool2d(x, 3, 1, 1), x], dim=1)
    return pieces.view(1, 2, 3, *SIZE).transpose(1, 2).reshape(1, 6, *SIZE)[:, 1:4]


def in_windows(x: Tensor) -> Tensor:
    """Means over windows of 3 x 3 after a cyclic shift, as in a Swin block."""
    x = F.pad(x, (0, 1)).roll((-1, 2), (2, 3))
    x = x * WITHOUT_WRAPPED
    rows = x.view(1, 3, 3, 3, 4, 3).permute(0, 2, 4, 3, 5, 1).reshape(12, 9, 3)
    return rows.mean(1, keepdim=True).expand_as(rows)


CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "stride, dilation and padding": conv(3, 4, 3, stride=2, dilation=2, padding=1),
    "no padding": conv(3, 2, (2, 5)),
    "groups after a shuffle": lambda x: GROUPED(shuffled(x)),
    "transposed": nn.ConvTranspose2d(3, 2, 3, 2, 1, 1).double(),
    "transposed after stride": nn.Sequential(
        nn.Conv2d(3, 2, 3, 2, 1), nn.ConvTranspose2d(2, 2, 2, 2)
    ).double(),
    "pooling that rounds up": lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True),
    "adaptive pooling": lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
    "nearest": lambda x: F.interpolate(F.avg_pool2d(x, 2), size=(7, 9)),
    "bilinear": lambda x: F.interpolate(F.avg_pool2d(x, 3), scale_factor=2, mode="bilinear"),
    "aligned corners": lambda x: F.interpolate(
        F.avg_pool2d(x, 3), size=(7, 7), mode="bilinear", align_corners=True
    ),
    "linear on the last axis": lambda x: LINEAR(x.permute(0, 2, 3, 1)),
    "layer norm on channels": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (3,)),
    "attention": attention,
    "windows": in_windows,
    "patches": lambda x: F.pixel_unshuffle(x[..., :8, :10], 2),
    "running sum": lambda x: x.flip(3).cumsum(3),
    "mean": lambda x: x.mean((2, 3)),
    "gate": lambda x: x * x.mean(3, keepdim=True),
    "difference of columns": lambda x: x[..., 1:] - x[..., :-1],
    "flat": lambda x: x.flatten(2).transpose(1, 2),
}
WITHOUT_WRAPPED = torch.ones(9, 12, dtype=torch.float64)
WITHOUT_WRAPPED[-1] = WITHOUT_WRAPPED[:, :2] = 0  # shifted windows mask what wraps around
GROUPED = conv(3, 6, 1, groups=3)
LINEAR = nn.Linear(3, 5).double()


def from_gradients(run: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """(4, N) the sides of each value of the output, from its gradient."""
    jacobian = torch.autograd.functional.jacobian(run, images)
    uses = jacobian.reshape(-1, *images.shape[1:]).abs().sum(1) > 0  # (N, H, W)
    sides = []
    for axis in (2, 1):
        lines = uses.any(axis)  # (N, H) or (N, W)
        numbers = torch.arange(lines.shape[1]).expand_as(lines)
        first = torch.where(lines, -numbers, NOWHERE).amax(1)
        last = torch.where(lines, numbers, NOWHERE).amax(1)
        sides.append((first, last))
    return torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]]).float()


def as_table(fields: PixelFields) -> Tensor:
    return torch.stack([side.expand(fields.shape).flatten() for side in fields.sides])


@pytest.mark.parametrize("name", CASES)
def test_fields_are_the_pixels_with_a_gradient(name):
    run = CASES[name]
    torch.manual_seed(0)
    images = torch.randn(1, 3, *SIZE, dtype=torch.float64)
    fields = traced_fields(run, images)
    assert fields.exact
    torch.testing.assert_close(as_table(fields), from_gradients(run, images))


def test_a_maximum_sees_its_whole_window():
    fields = traced_fields(lambda x: F.max_pool2d(x, 3, 2, 1), torch.randn(1, 3, *SIZE))
    means = traced_fields(lambda x: F.avg_pool2d(x, 3, 2, 1), torch.randn(1, 3, *SIZE))
    torch.testing.assert_close(as_table(fields), as_table(means))


def test_a_deformable_convolution_counts_as_if_not_deformed():
    layer, offsets = DeformConv2d(3, 3, 3, padding=1), nn.Conv2d(3, 18, 1)
    images = torch.randn(1, 3, *SIZE)
    fields = traced_fields(lambda x: layer(x, offsets(x)), images)
    plain = traced_fields(nn.Conv2d(3, 3, 3, padding=1), images)
    torch.testing.assert_close(as_table(fields), as_table(plain))


def test_statistics_of_norms_do_not_count():
    fields = traced_fields(nn.GroupNorm(1, 3), torch.randn(1, 3, *SIZE))
    assert fields.extent(*SIZE)[:2] == (1, 1)


def test_an_operation_without_a_rule_sees_everything_and_is_marked():
    fields = traced_fields(lambda x: x.sort(dim=3).values, torch.randn(1, 3, *SIZE))
    assert not fields.exact
    assert fields.extent(*SIZE) == (*SIZE, True)

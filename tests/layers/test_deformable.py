import pytest
import torch
from torch import nn

from detkit.layers.deformable import DeformableConv

FEATURES = torch.randn(2, 4, 9, 11, generator=torch.Generator().manual_seed(0))


def plain(**values):
    torch.manual_seed(0)
    return nn.Conv2d(4, 6, 3, padding=1, **values)


@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize(
    "values", [{}, {"stride": 2}, {"groups": 2}, {"bias": False}, {"dilation": 2}]
)
def test_starts_as_the_plain_convolution(modulated, values):
    conv = plain(**values)
    deformable = DeformableConv(conv, modulated=modulated)
    torch.testing.assert_close(deformable(FEATURES), conv(FEATURES), rtol=1e-5, atol=1e-5)
    assert deformable.weight is conv.weight


def test_an_offset_of_one_cell_shifts_the_map():
    conv = plain()
    deformable = DeformableConv(conv, modulated=False)
    with torch.no_grad():
        deformable.offset.bias[1::2] = 1.0  # (y, x) pairs: one cell to the right
    found, shifted = deformable(FEATURES), conv(FEATURES)
    torch.testing.assert_close(found[..., :-2], shifted[..., 1:-1], rtol=1e-5, atol=1e-5)


def test_modulation_scales_what_is_seen():
    conv = plain(bias=False)
    deformable = DeformableConv(conv, modulated=True)
    with torch.no_grad():
        deformable.offset.bias[18:] = -torch.log(torch.tensor(3.0))  # sigmoid 1/4, twice is 1/2
    torch.testing.assert_close(deformable(FEATURES), conv(FEATURES) / 2, rtol=1e-5, atol=1e-5)


def test_all_parameters_learn():
    deformable = DeformableConv(plain(), modulated=True)
    deformable(FEATURES).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in deformable.parameters())


def test_a_frozen_convolution_stays_frozen():
    conv = plain().requires_grad_(False)
    assert not any(p.requires_grad for p in DeformableConv(conv, modulated=True).parameters())


def test_runs_in_bfloat16_and_under_autocast():
    deformable = DeformableConv(plain(), modulated=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert deformable(FEATURES.bfloat16()).isfinite().all()
    assert deformable.bfloat16()(FEATURES.bfloat16()).dtype == torch.bfloat16

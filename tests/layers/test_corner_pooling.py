"""Corner pooling: running maxima of a naive loop, also in exported graphs."""

import pytest
import torch

from detkit.layers.corner_pooling import CornerPooling, _doubled_maximum, running_maximum


def looped_maximum(maps, axis, reverse):
    """Each cell compared with all cells before it, or after it."""
    result, size = maps.clone(), maps.shape[axis]
    for cell in range(size):
        reach = range(cell, size) if reverse else range(cell + 1)
        columns = maps.index_select(axis, torch.tensor(list(reach)))
        result.select(axis, cell).copy_(columns.amax(dim=axis))
    return result


@pytest.mark.parametrize("maximum", [running_maximum, _doubled_maximum])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [-1, -2])
def test_running_maxima_equal_a_naive_loop(axis, reverse, maximum):
    maps = torch.rand(2, 3, 7, 10, generator=torch.Generator().manual_seed(0))
    expected = looped_maximum(maps, axis, reverse)
    assert torch.equal(maximum(maps, axis, reverse=reverse), expected)


def test_the_gradient_goes_to_the_maximum():
    row = torch.tensor([1.0, 3.0, 2.0, 4.0]).view(1, 1, 1, 4).requires_grad_()
    running_maximum(row, -1, reverse=False).sum().backward()
    assert row.grad.flatten().tolist() == [1, 2, 0, 1]


@pytest.mark.parametrize("top_left", [True, False])
def test_corners_see_the_cells_towards_their_object_alone(top_left):
    block = CornerPooling(2, 2, width=2, top_left=top_left, norm="none")
    for parameter in block.parameters():
        parameter.data.abs_()  # no ReLU stops the gradient
    maps = torch.rand(1, 2, 17, 17).requires_grad_()
    block(maps)[0, :, 8, 8].sum().backward()
    seen = maps.grad[0].abs().sum(dim=0) > 0
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    for cells in (rows, columns):  # three convolutions of 3 x 3 reach 3 cells beyond
        assert cells.min() >= 5 if top_left else cells.max() <= 11


@pytest.mark.slow
def test_an_exported_block_takes_any_size():
    block = CornerPooling(4, 6, width=8, top_left=True).eval()
    dynamic = ({2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC},)
    traced = torch.export.export(block, (torch.rand(1, 4, 6, 9),), dynamic_shapes=dynamic)
    maps = torch.rand(1, 4, 11, 5)
    torch.testing.assert_close(traced.module()(maps), block(maps))

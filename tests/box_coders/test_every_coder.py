"""What holds for every registered coder."""

import pytest
import torch
from torch.testing import assert_close

from detkit import registry
from detkit.structures import Priors

PRIORS = Priors(
    torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 0.0, 24.0, 16.0], [0.0, 16.0, 32.0, 48.0]]),
    torch.tensor([8.0, 16.0, 32.0]),
    torch.tensor([0, 1, 2]),
)
# Within the reach of every coder: centres half a cell away at most, sides up to 3.9 times.
BOXES = torch.tensor([[0.0, -2.0, 10.0, 14.0], [1.0, 4.5, 23.0, 15.5], [-16.0, 11.0, 64.0, 61.0]])


@pytest.fixture(params=registry.names("box_coder"))
def coder(request):
    return registry.get("box_coder", request.param)()


def test_decode_undoes_encode(coder):
    codes = coder.encode(BOXES, PRIORS)
    assert codes.shape == (3, coder.code_size)
    assert_close(coder.decode(codes, PRIORS), BOXES, rtol=1e-5, atol=1e-4)


def test_leading_axes_broadcast(coder):
    codes = torch.randn(2, 3, coder.code_size, generator=torch.Generator().manual_seed(0))
    images = torch.stack([coder.decode(of_image, PRIORS) for of_image in codes])
    assert torch.equal(coder.decode(codes, PRIORS), images)
    boxes = torch.stack([BOXES, BOXES + 1])
    images = torch.stack([coder.encode(of_image, PRIORS) for of_image in boxes])
    assert torch.equal(coder.encode(boxes, PRIORS), images)


def test_nothing(coder):
    nothing = Priors(*(field[:0] for field in PRIORS))
    assert coder.encode(BOXES[:0], nothing).shape == (0, coder.code_size)
    assert coder.decode(torch.zeros(0, coder.code_size), nothing).shape == (0, 4)


def test_every_code_gets_a_gradient_from_its_box(coder):
    codes = coder.encode(BOXES, PRIORS).requires_grad_()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    (coder.decode(codes, PRIORS) * weights).sum().backward()
    assert (codes.grad != 0).all()
    assert codes.grad.isfinite().all()


def test_codes_of_half_precision_are_decoded_in_that_of_the_priors(coder):
    codes = coder.encode(BOXES, PRIORS)
    found = coder.decode(codes.bfloat16(), PRIORS)
    assert found.dtype == torch.float32
    assert_close(found, BOXES, rtol=0.05, atol=0.5)

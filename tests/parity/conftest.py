"""The batches that networks of torchvision and of detkit are compared on."""

from __future__ import annotations

import pytest
from pictures import photograph_batch, rendered_batch
from torchvision_weights import DIVISOR

from detkit.structures import Batch


@pytest.fixture(
    scope="module",
    params=[
        "rendered",
        pytest.param("photographs", marks=[pytest.mark.needs_bccd, pytest.mark.slow]),
    ],
)
def batch(request: pytest.FixtureRequest) -> Batch:
    """Two images; one has no object."""
    if request.param == "rendered":
        return rendered_batch(DIVISOR)
    return photograph_batch(request.getfixturevalue("bccd"), DIVISOR)

"""A small root for the tests of this folder; its own module, so that a block can name it."""

from dataclasses import dataclass, field
from typing import Annotated

from detkit import Slot
from detkit.config.blocks import Block


@dataclass
class ToyBlock:
    """Block for tests.

    Args:
        path: Where it is.
        size: How large.
        extent: Height and width.
    """

    path: str
    size: int = 3
    extent: tuple[int, int] = (4, 5)


@dataclass
class ToyRoot:
    """Root for tests."""

    model: Annotated[object, Slot("detector", "toy_stage")]
    block: Annotated[object, Block("toy_root:ToyBlock")]
    title: str = "none"
    rates: list[float] = field(default_factory=list)

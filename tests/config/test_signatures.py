"""Constructors as schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from detkit.config.blocks import Block
from detkit.config.signatures import MISSING, arguments, paper, summary
from detkit.errors import UserError
from detkit.registry import PositiveInt, Slot, Wired

if TYPE_CHECKING:
    from collections import OrderedDict


class Documented:
    """Does something worth a line.

    And more of it.

    Paper: A Paper That Is Long Enough (Somebody et al., 2020),
        https://example.org/paper

    Args:
        depth: How deep it goes,
            on two lines.
        scale: How large.

    Raises:
        ValueError: Never.
    """

    def __init__(self, *, depth: PositiveInt = 4, scale: float) -> None:
        self.depth, self.scale = depth, scale


class Assembled:
    """Takes parts and wires."""

    def __init__(
        self,
        *,
        num_classes: Wired[int],
        box_loss: Annotated[Any, Slot("loss", "l1", space=("codes", "boxes"))],
        quality_loss: Annotated[Documented | None, Slot("loss")],
        logger: Annotated[Any, Slot("logger")],
        callbacks: Annotated[dict[str, Any], Slot("callback")],
        trainer: Annotated[Any, Block("somewhere:Trainer")],
    ) -> None:
        """Take them.

        Args:
            box_loss: From the constructor's docstring.
        """


@dataclass
class Record:
    size: tuple[int, int] = (4, 5)
    names: list[str] = field(default_factory=lambda: ["a"])


def build(*, depth: int | None = None) -> Documented:
    """Build one."""
    return Documented(depth=depth or 1, scale=1.0)


def test_default_type_and_help_of_plain_arguments():
    depth = arguments(Documented)["depth"]
    assert (depth.default, depth.type_text, depth.doc) == (
        4,
        "int > 0",
        "How deep it goes, on two lines.",
    )
    assert (depth.wired, depth.slot, depth.block, depth.optional) == (False, None, None, False)


def test_an_argument_without_default_is_required():
    scale = arguments(Documented)["scale"]
    assert scale.default is MISSING
    assert scale.required
    assert repr(scale.default) == "required"


def test_order_is_the_order_of_the_constructor():
    assert list(arguments(Assembled))[:3] == ["num_classes", "box_loss", "quality_loss"]


def test_wired_argument_keeps_its_plain_type():
    wired = arguments(Assembled)["num_classes"]
    assert wired.wired
    assert wired.annotation is int


def test_slot_tells_family_spaces_and_default():
    loss = arguments(Assembled)["box_loss"]
    assert loss.slot == Slot("loss", "l1", space=("codes", "boxes"))
    assert loss.annotation is Any
    assert not loss.optional
    assert loss.type_text == "loss (codes or boxes)"
    assert loss.doc == "From the constructor's docstring."


def test_null_fits_an_optional_slot():
    argument = arguments(Assembled)["quality_loss"]
    assert argument.optional
    assert argument.annotation == Documented | None
    assert argument.type_text == "loss or null"


def test_null_fits_a_slot_of_any_type_without_default_part():
    assert arguments(Assembled)["logger"].optional


def test_slot_by_label_may_have_any_name():
    callbacks = arguments(Assembled)["callbacks"]
    assert callbacks.by_label
    assert callbacks.type_text == "mapping of label to callback"


def test_block_is_kept():
    trainer = arguments(Assembled)["trainer"]
    assert trainer.block == Block("somewhere:Trainer")
    assert trainer.type_text == "mapping"


def test_dataclass_defaults_are_made():
    schema = arguments(Record)
    assert schema["size"].default == (4, 5)
    assert schema["names"].default == ["a"]


def test_dataclass_without_docstring_has_no_summary():
    assert summary(Record) == ""


def test_function_that_builds_a_part():
    assert arguments(build)["depth"].optional
    assert summary(build) == "Build one."


def test_summary_and_paper():
    assert summary(Documented) == "Does something worth a line."
    assert paper(Documented) == (
        "A Paper That Is Long Enough (Somebody et al., 2020), https://example.org/paper"
    )
    assert paper(Assembled) is None


def test_schema_is_cached():
    assert arguments(Documented) is arguments(Documented)


def hidden(**options: int) -> None: ...
def untyped(*, depth=3) -> None: ...
def unknown_type(*, order: OrderedDict) -> None: ...
def unwritable(*, owner: Documented) -> None: ...
def misnamed(*, criterion: Annotated[Any, Slot("loss")]) -> None: ...
def reserved(*, name: str) -> None: ...
def wire_or_none(*, count: Wired[int] | None) -> None: ...
def slot_or_none(*, loss: Annotated[Any, Slot("loss")] | None) -> None: ...
def list_of_slots(*, loss: list[Annotated[Any, Slot("loss")]]) -> None: ...
def slot_with_default(*, loss: Annotated[Any, Slot("loss")] = "focal") -> None: ...


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (hidden, r"hidden: argument 'options' hides arguments; list each one\."),
        (untyped, r"untyped: argument 'depth' has no type; annotate it\."),
        (unknown_type, r"unknown_type: the type 'OrderedDict' .* not under `if TYPE_CHECKING`\."),
        (unwritable, r"argument 'owner' has the type Documented, which YAML cannot hold; mark"),
        (misnamed, r"'criterion' takes a loss, .* call it 'loss' or '\.\.\._loss'\."),
        (reserved, r"argument 'name' has a reserved name; give it a longer one\."),
        (wire_or_none, r"argument 'count' is marked inside its type; mark the whole type"),
        (slot_or_none, r"mark the whole type, `Annotated\[Part \| None, Slot\(...\)\]`"),
        (list_of_slots, r"mark the whole type"),
        (slot_with_default, r"'loss' is a slot with a default; name the default part in the Slot"),
    ],
)
def test_unsound_constructor_is_named(factory, text):
    with pytest.raises(UserError, match=text):
        arguments(factory)

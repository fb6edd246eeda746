"""A part's constructor as a schema: the arguments that YAML sets and that assembly fills in.

Imports neither torch nor hydra. Whatever is wrong with a constructor is a UserError that names it,
since its author may be writing a plugin.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from detkit.config.blocks import Block
from detkit.config.docstrings import argument_help, body_of, first_line, paper_of
from detkit.config.value_types import check_value, convert, is_union, type_text, unwritable
from detkit.errors import UserError
from detkit.registry import Slot, Wired, family_of_slot

__all__ = [
    "MISSING",
    "Argument",
    "arguments",
    "check_value",
    "convert",
    "paper",
    "summary",
    "type_text",
]

Factory = Callable[..., Any]
_WIRED_MARK = type(get_args(Wired[int])[1])
_MARKS = (Slot, Block, _WIRED_MARK)
_MARK_WHOLE_TYPE = "mark the whole type, `Annotated[Part | None, Slot(...)]` or `Wired[int | None]`"
_RESERVED = {"name", "defaults"}


class _Missing:
    def __repr__(self) -> str:
        return "required"


MISSING: Any = _Missing()


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor.

    Attributes:
        name: Its name, which is its key in YAML.
        annotation: Its type, without the marks of slots, blocks and wiring.
        default: Its default, or MISSING.
        slot: Says which parts it takes, if it takes parts.
        block: Says whose keys it holds, if it is a block.
        wired: Whether assembly fills it in, so that YAML must not.
        by_label: Whether the slot takes a mapping of label to part.
        optional: Whether null fits.
        doc: Its help, from the docstring.
    """

    name: str
    annotation: Any
    default: Any
    slot: Slot | None
    block: Block | None
    wired: bool
    by_label: bool
    optional: bool
    doc: str

    @property
    def required(self) -> bool:
        """Whether YAML, wiring or the slot's default part must supply a value."""
        return self.default is MISSING

    @property
    def type_text(self) -> str:
        """Its type as short text."""
        if self.slot is None:
            return "mapping" if self.block is not None else type_text(self.annotation)
        spaces = f" ({' or '.join(self.slot.space)})" if self.slot.space else ""
        text = f"mapping of label to {self.slot.family}" if self.by_label else self.slot.family
        return text + spaces + (" or null" if self.optional else "")


@cache
def arguments(factory: Factory) -> dict[str, Argument]:
    """The arguments of a class, a dataclass or a function, in their order.

    Raises:
        UserError: An argument is hidden, untyped, of a type that YAML cannot hold, or a slot whose
            name does not tell its family.
    """
    hints = _type_hints(factory)
    helps = _helps(factory)
    made_defaults = _made_defaults(factory)
    result: dict[str, Argument] = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise _fault(factory, name, "hides arguments; list each one")
        if name not in hints:
            raise _fault(factory, name, "has no type; annotate it")
        default = MISSING if parameter.default is parameter.empty else parameter.default
        default = made_defaults.get(name, default)
        argument = _argument(name, hints[name], default, helps.get(name, ""))
        _require_sound(factory, argument)
        result[name] = argument
    return result


def summary(factory: Factory) -> str:
    """The first line of a part's docstring."""
    return first_line(_docstring(factory))


def paper(factory: Factory) -> str | None:
    """The paper that a part's docstring names, with authors, year and address."""
    return paper_of(_docstring(factory))


def body(factory: Factory) -> list[str]:
    """The paragraphs of a part's docstring between its summary and its sections."""
    return body_of(_docstring(factory))


def _is_dataclass(factory: Factory) -> bool:
    return isinstance(factory, type) and dataclasses.is_dataclass(factory)


def _made_defaults(factory: Any) -> dict[str, Any]:
    """The defaults that a dataclass creates with a factory function."""
    fields = dataclasses.fields(factory) if _is_dataclass(factory) else ()
    made = {f.name: f.default_factory for f in fields}
    return {name: make() for name, make in made.items() if make is not dataclasses.MISSING}


def _type_hints(factory: Factory) -> dict[str, Any]:
    owner: Any = factory
    if isinstance(factory, type) and not _is_dataclass(factory):
        owner = factory.__init__  # type: ignore[misc]  # only its annotations are read
    try:
        return get_type_hints(owner, include_extras=True)
    except NameError as error:
        raise UserError(
            f"{_name_of(factory)}: the type '{error.name}' is not known when the module runs; "
            "import it at the top of the module, not under `if TYPE_CHECKING`."
        ) from error
    except TypeError as error:  # Python before 3.12 cannot put a marked type into a union
        raise UserError(
            f"{_name_of(factory)}: a type cannot be read ({error}); {_MARK_WHOLE_TYPE}."
        ) from error


def _argument(name: str, hint: Any, default: Any, doc: str) -> Argument:
    annotation, marks = _strip(hint)
    slot = next((mark for mark in marks if isinstance(mark, Slot)), None)
    return Argument(
        name=name,
        annotation=annotation,
        default=default,
        slot=slot,
        block=next((mark for mark in marks if isinstance(mark, Block)), None),
        wired=any(isinstance(mark, _WIRED_MARK) for mark in marks),
        by_label=slot is not None and get_origin(annotation) is dict,
        optional=_takes_null(annotation, slot),
        doc=doc,
    )


def _takes_null(annotation: Any, slot: Slot | None) -> bool:
    if annotation is Any:
        return slot is None or slot.default is None
    return is_union(annotation) and type(None) in get_args(annotation)


def _strip(hint: Any) -> tuple[Any, list[Any]]:
    """A type without detkit's markers, and the markers."""
    if get_origin(hint) is not Annotated:
        return hint, []
    inner, *metadata = get_args(hint)
    marks = [mark for mark in metadata if isinstance(mark, _MARKS)]
    for limit in (mark for mark in metadata if not isinstance(mark, _MARKS)):
        inner = Annotated[inner, limit]
    return inner, marks


def _is_marked_inside(annotation: Any) -> bool:
    members = get_args(annotation) if get_origin(annotation) is not Literal else ()
    return any(isinstance(member, _MARKS) or _is_marked_inside(member) for member in members)


def _require_sound(factory: Factory, argument: Argument) -> None:
    name, slot = argument.name, argument.slot
    if name in _RESERVED:
        raise _fault(factory, name, "has a reserved name; give it a longer one")
    if _is_marked_inside(argument.annotation):
        raise _fault(factory, name, f"is marked inside its type; {_MARK_WHOLE_TYPE}")
    if slot is None:
        misfit = None if argument.wired or argument.block else unwritable(argument.annotation)
        if misfit is not None:
            text = f"has the type {type_text(misfit)}, which YAML cannot hold; mark it with Slot or"
            raise _fault(factory, name, f"{text} Wired, or use plain types")
        return
    if not argument.required and (argument.default, slot.default) != (None, None):
        raise _fault(factory, name, "is a slot with a default; name the default part in the Slot")
    if argument.by_label or (name == "model" and slot.family == "detector"):
        return
    if family_of_slot(name) != slot.family:
        text = f"takes a {slot.family}, which its name does not tell; call it '{slot.family}' or"
        raise _fault(factory, name, f"{text} '..._{slot.family}'")


def _helps(factory: Factory) -> dict[str, str]:
    constructor = factory.__init__.__doc__ if isinstance(factory, type) else None  # type: ignore[misc]
    return {**argument_help(constructor), **argument_help(_docstring(factory))}


def _docstring(factory: Factory) -> str | None:
    """The docstring in the source; Python gives a dataclass without one its signature."""
    text = factory.__doc__
    if text and _is_dataclass(factory) and text.startswith(f"{factory.__name__}("):
        return None
    return text


def _fault(factory: Factory, argument: str, text: str) -> UserError:
    return UserError(f"{_name_of(factory)}: argument '{argument}' {text}.")


def _name_of(factory: Factory) -> str:
    return f"{factory.__module__}.{factory.__qualname__}"

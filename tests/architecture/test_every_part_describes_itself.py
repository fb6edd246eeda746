"""Each registered part has a schema, help and fitting defaults; tests grow with the registry."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable

import detkit
from detkit import registry
from detkit.cli.list import docstring
from detkit.config.checks.hints import ALWAYS_WIRED
from detkit.config.docstrings import citation_of, first_line, paper_of
from detkit.config.part_pages import part_node
from detkit.config.signatures import MISSING, arguments, check_value, paper, summary

PARTS = sorted(registry._builtin_parts())
SOMETIMES_WIRED = {"seed", "run_folder", "priors", "box_coder"}


def each_part(check: Callable[[str, str], None]) -> Callable[[], None]:
    """A test of all parts at once: as parametrised tests they would take four times as long."""

    def test() -> None:
        for family, name in PARTS:
            try:
                check(family, name)
            except Exception as error:
                error.add_note(f"{family} {name}")
                raise

    return test


def test_reading_the_sources_finds_what_importing_them_registers():
    for module in pkgutil.walk_packages(detkit.__path__, "detkit."):
        if not module.name.endswith("__main__") and ".integrations." not in module.name:
            importlib.import_module(module.name)
    registered = {key: p.module for key, p in registry._parts.items() if p.origin == "detkit"}
    read = {key: part.module for key, part in registry._builtin_parts().items()}
    ours = {key: module for key, module in registered.items() if module.startswith("detkit.")}
    assert ours == read


@each_part
def test_constructor_is_keyword_only(family, name):
    parameters = inspect.signature(registry.get(family, name)).parameters.values()
    assert [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY] == []


@each_part
def test_arguments_have_help(family, name):
    schema = arguments(registry.get(family, name)).values()
    assert [a.name for a in schema if not a.wired and not a.doc] == []


@each_part
def test_defaults_fit_their_types(family, name):
    schema = [a for a in arguments(registry.get(family, name)).values() if not (a.wired or a.slot)]
    given = [a for a in schema if a.default is not MISSING]
    assert {a.name: e for a in given if (e := check_value(a.annotation, a.default))} == {}


@each_part
def test_slots_default_to_parts_that_exist_and_take_the_values(family, name):
    slots = [a.slot for a in arguments(registry.get(family, name)).values() if a.slot]
    for slot in [slot for slot in slots if slot.default]:
        part = part_node(slot.family, {"name": slot.default})  # the default may be a page
        schema = arguments(registry.get(slot.family, part["name"]))
        assert set(slot.arguments) <= set(schema)
        for key, value in slot.arguments.items():
            assert schema[key].slot or check_value(schema[key].annotation, value) is None


@each_part
def test_wired_arguments_are_those_that_assembly_fills_in(family, name):
    schema = arguments(registry.get(family, name)).values()
    assert {a.name for a in schema if a.wired} <= ALWAYS_WIRED | {
        "seed",
        "run_folder",
        "priors",
        "box_coder",
    }


@each_part
def test_first_line_is_the_purpose_and_reads_alike_from_the_text(family, name):
    listed = docstring(registry._builtin_parts()[family, name])
    factory = registry.get(family, name)
    assert first_line(listed)
    assert first_line(listed) == summary(factory)
    assert paper_of(listed) == paper(factory)


@each_part
def test_a_paper_has_authors_a_year_and_an_address(family, name):
    factory = registry.get(family, name)
    if paper(factory):
        assert citation_of(factory.__doc__)
        assert "https://" in paper(factory) or "no paper" in paper(factory)

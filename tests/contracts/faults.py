"""Parts with one fault each: a built-in part, changed, and what its contract should say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from detkit import registry
from detkit.contracts import BrokenContractError, Case, cases


class Fault(NamedTuple):
    """A built-in part, a change to it, and the promise that the change breaks."""

    family: str
    name: str
    promise: str
    says: str
    change: Callable[[Any], Any]
    values: dict[str, Any]


class Faults(list[Fault]):
    """Faults by decorator, to be tested one by one."""

    def add(self, family: str, name: str, promise: str, says: str, **values: Any) -> Callable:
        """Register a function that makes a faulty class from the built-in one."""

        def keep(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self.append(Fault(family, name, promise, says, change, values))
            return change

        return keep

    def parametrize(self) -> Any:
        """One test for each."""
        names = [f"{fault.family}-{fault.change.__name__}" for fault in self]
        return pytest.mark.parametrize("fault", list(self), ids=names)


def case_of(family: str, name: str, promise: str, **values: Any) -> Case:
    """One promise of a part."""
    found = [case for case in cases(family, name, **values) if str(case) == promise]
    assert len(found) == 1, promise
    return found[0]


def require_caught(fault: Fault) -> None:
    """The built-in part keeps the promise, the changed one breaks it in these words."""
    case = case_of(fault.family, fault.name, fault.promise, **fault.values)
    case()
    registry.register(fault.family, "faulty")(fault.change(case.subject.factory))
    values = case.subject.values if case.subject.page_of else fault.values
    with pytest.raises(BrokenContractError, match=fault.says):
        case_of(fault.family, "faulty", fault.promise, **values)()

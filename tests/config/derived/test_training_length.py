"""Steps or minutes take the place of a page's epochs, unless epochs are typed, too."""

import pytest

from detkit.config.compose import compose
from detkit.config.derived.training_length import choose_limits, limit_note
from detkit.errors import ConfigError


def limits(*words, page=None, resuming=False):
    trainer = {"max_epochs": 12, "max_steps": None, "max_minutes": None, **(page or {})}
    for word in words:
        key, _, value = word.removeprefix("trainer.").partition("=")
        trainer[key] = None if value == "null" else float(value)
    choose_limits(trainer, list(words), resuming)
    return trainer["max_epochs"], trainer["max_steps"], trainer["max_minutes"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (12, None, None)),
        (["trainer.max_minutes=3"], (None, None, 3)),
        (["trainer.max_steps=50"], (None, 50, None)),
        (["trainer.max_minutes=3", "trainer.max_epochs=5"], (5, None, 3)),
        (["trainer.max_minutes=3", "trainer.max_steps=50"], (None, 50, 3)),
    ],
)
def test_what_ends_a_training(words, expected):
    assert limits(*words) == expected


def test_a_page_with_minutes_needs_no_word():
    assert limits(page={"max_minutes": 3}) == (None, None, 3)
    assert limits("trainer.max_epochs=5", page={"max_minutes": 3}) == (5, None, 3)


def test_a_resumed_run_keeps_its_limits_until_others_are_typed():
    both = {"max_epochs": 5, "max_minutes": 3.0}
    assert limits(page=both, resuming=True) == (5, None, 3)
    assert limits("trainer.max_minutes=9", page=both, resuming=True) == (None, None, 9)


def test_a_training_without_an_end_is_refused():
    with pytest.raises(ConfigError, match=r"trainer\.max_epochs: null, .* never end"):
        limits("trainer.max_epochs=null")


def test_the_note_names_the_deciding_setting():
    assert limit_note({"max_epochs": 12, "max_steps": None, "max_minutes": None}) == []
    (note,) = limit_note({"max_epochs": None, "max_steps": None, "max_minutes": 3.0})
    assert note.startswith("trainer.max_minutes=3 replaces trainer.max_epochs")


def test_the_composed_configuration_holds_the_effective_values():
    trainer = compose("train", ["experiment=demo", "trainer.max_minutes=3"])["trainer"]
    assert (trainer["max_epochs"], trainer["max_minutes"]) == (None, 3)

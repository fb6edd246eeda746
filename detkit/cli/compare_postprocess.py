"""`detkit evaluate ckpt=RUN postprocess=A,B`: several post-processors on the same candidates."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from detkit import registry
from detkit.api.checkpoint_config import checkpoint_of, compose_with
from detkit.api.postprocess_comparison import Choice, PostprocessComparison, check_grid
from detkit.cli.exported_words import checkpoint_names, exported_checkpoint
from detkit.cli.output_folder import make_folder
from detkit.config.override_text import override_text
from detkit.config.overrides import listed_plugins
from detkit.config.plugins import load as load_plugins
from detkit.config.signatures import arguments as arguments_of
from detkit.errors import UserError
from detkit.text import align_columns

_KEY = "postprocess"
FILE = "postprocess.json"


def compare(words: Sequence[str]) -> int:
    """Run the network once and print a table of all choices, with the words for the best.

    Raises:
        UserError: A word does not fit, or ckpt names an exported file.
    """
    if len(sources := checkpoint_names(words)) > 1:
        raise UserError(
            f"{_KEY}: compares the post-processors of one run, got {len(sources)}: name one of "
            "them, or choose how an ensemble is merged with merge=NAME."
        )
    file = exported_checkpoint(words)
    if file is not None:
        raise UserError(
            f"{_KEY}: {file} holds its post-processing, which was fixed by `detkit export`: "
            "compare on the run, then export it with the best choice."
        )
    names, grid, overrides = _split(words)
    checkpoint = checkpoint_of(overrides, "evaluate")
    check_grid(names, grid)
    config = compose_with(checkpoint, "evaluate", overrides)
    if config["output"] is not None:
        make_folder(Path(config["output"]))
    comparison = PostprocessComparison(checkpoint, config)
    print(comparison.split)
    measured = comparison.run(
        lambda batches: tqdm(batches, total=len(comparison), unit="batch", disable=None)
    )
    choices = comparison.choices(names, grid, measured)
    for line in (comparison.summary(), *comparison.notes, *measured.notes):
        print(line, file=sys.stderr)
    print("\n".join([*_table(choices), "", *_verdict(comparison, choices)]))
    if config["output"] is not None:
        _write(Path(config["output"]) / FILE, comparison, choices)
    return 0


def _split(words: Sequence[str]) -> tuple[list[str], dict[str, list[Any]], list[str]]:
    """The post-processors, the values to try by setting, and all other words."""
    load_plugins(listed_plugins(list(words)))
    registered = registry.names(_KEY)
    settings = {key for name in registered for key in arguments_of(registry.get(_KEY, name))}
    names: list[str] = []
    grid: dict[str, list[Any]] = {}
    overrides = []
    for word in words:
        key, _, text = word.partition("=")
        values = [part for part in text.strip("[]").split(",") if part.strip()]
        if key not in (_KEY, *settings):
            overrides.append(word)
        elif not values:
            raise UserError(f"{word}: names no value; separate several with commas.")
        elif key == _KEY:
            names = [value.strip() for value in values]
        else:
            grid[key] = [yaml.safe_load(value) for value in values]
    return names, grid, overrides


def _table(choices: Sequence[Choice]) -> list[str]:
    """The choices as lines, the detector's own with a mark."""
    rows = [["", _KEY, "settings", "AP", "AP50", "seconds"]]
    for choice in choices:
        settings = " ".join(f"{key}={override_text(v)}" for key, v in choice.varied.items())
        figures = [_figure(choice.numbers.get(key)) for key in ("AP", "AP50")]
        seconds = "" if choice.is_own else f"{choice.seconds:.1f}"
        rows.append(["*" * choice.is_own, choice.name, settings or "-", *figures, seconds])
    lines = align_columns(rows, range(3, 6))
    return [*lines, "* as configured; its time is the network's"]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _verdict(comparison: PostprocessComparison, choices: Sequence[Choice]) -> list[str]:
    """What to change for the best choice."""
    best = choices[0]
    first = next(choice for choice in choices if choice.is_own)
    gain = best.numbers.get("AP", 0.0) - first.numbers.get("AP", 0.0)
    if gain <= 0:
        return [f"No choice has a better AP than {first.name} as configured."]
    return [
        f"Best: {best.name}, AP +{gain:.4f}. Add to `detkit evaluate`, `predict` or `export`:",
        f"  {shlex.join(comparison.words(best))}",
    ]


def _write(file: Path, comparison: PostprocessComparison, choices: Sequence[Choice]) -> None:
    rows = [
        {
            _KEY: choice.name,
            "settings": dict(choice.settings),
            "is_own": choice.is_own,
            "overrides": comparison.words(choice),
            **{key: choice.numbers.get(key) for key in ("AP", "AP50")},
        }
        for choice in choices
    ]
    file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {file}")

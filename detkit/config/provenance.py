"""The origin of each value of a configuration, and the values it overrode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from detkit.config import pages, slots
from detkit.config.argument_lookup import PathTarget, leaves, meaning, target_of
from detkit.config.compose import hydra_compose, prepare
from detkit.config.composition import Composition, composing
from detkit.config.derived.gradient_clipping import CLIPPING
from detkit.config.derived.image_size import KEY as IMAGE_SIZE
from detkit.config.flags import split_flags
from detkit.config.hydra_errors import translated_errors
from detkit.config.hydra_session import hydra_session
from detkit.config.overrides import is_group, parse
from detkit.config.pages import default_value
from detkit.config.part_overrides import hydra_words, rewritten
from detkit.config.part_pages import all_names
from detkit.config.signatures import MISSING
from detkit.errors import UserError, did_you_mean
from detkit.files import display_path

Config = Mapping[str, Any]
_DEFAULT = "default of "  # how the source of a default begins


@dataclass(frozen=True)
class Step:
    """One value of a config path before the next step overrides it.

    Attributes:
        value: The value, interpolations kept.
        source: Where it was set: a default, a page with its line, or the command line.
    """

    value: Any
    source: str


@dataclass(frozen=True)
class Explanation:
    """A config path with its value, its meaning and its history.

    Attributes:
        path: The config path.
        value: The final value.
        meaning: Its type and the help of the constructor's argument.
        steps: All values of the path, the weakest first; the last one is in force.
    """

    path: str
    value: Any
    meaning: str
    steps: list[Step]


class History:
    """The history of one composition.

    Args:
        root: The root page, one of `slots.ROOTS`.
        config: Its result, checked and complete.
        words: The command line's words.
        checkpoint: The configuration of a checkpoint that it includes.
    """

    def __init__(
        self, root: str, config: Config, words: list[str], checkpoint: dict[str, Any] | None = None
    ) -> None:
        self._root = slots.ROOTS[root]
        self._config = config
        overrides = [w for w in words if w[0] != "-" and ("=" in w or w[0] == "~")]  # no flags
        self._overrides = rewritten(overrides)
        self._order, composition = merge_order(root, words, checkpoint)
        self._origins = composition.origins

    def explain(self, path: str) -> list[Explanation]:
        """The leaf at a path, or each leaf below it.

        Raises:
            UserError: There is no such key.
        """
        node: Any = self._config
        for key in path.split("."):
            if not isinstance(node, Mapping) or key not in node:
                raise UserError(self._unknown(path))
            node = node[key]
        return [self._explain(leaf, value) for leaf, value in leaves(node, path)]

    def _unknown(self, path: str) -> str:
        node = target_of(self._root, self._config, path)
        if node is not None and node.argument is not None and node.argument.wired:
            about = f" ({node.argument.doc})" if node.argument.doc else ""
            return (
                f"{path}: is filled in by detkit from the data and the parts before, for "
                f"{node.owner}{about}; it is never part of a configuration."
            )
        paths = [leaf for leaf, _ in leaves(self._config)]
        blocks = {leaf.rsplit(".", count)[0] for leaf in paths for count in range(1, 6)}
        text = f"there is no key '{path}' in this configuration."
        return f"{text}{did_you_mean(path, sorted({*paths, *blocks}))} `detkit config` shows all."

    def _explain(self, path: str, value: Any) -> Explanation:
        node = target_of(self._root, self._config, path)
        steps = _default_steps(node) if node is not None else []
        steps += self._written_steps(path)
        steps += self._word_steps(path)
        if not steps or steps[-1].value != value:
            steps.append(Step(value, self._filled_by(path, steps)))
        text = meaning(node, self._config, path) if node is not None else ""
        return Explanation(path, value, text, steps)

    def _filled_by(self, path: str, steps: list[Step]) -> str:
        """The source of a value that neither a page nor an override sets."""
        if path in ("model.pixel_mean", "model.pixel_std"):
            return "expected by the backbone's published weights"
        if path == CLIPPING:
            return "from the original implementation of the detector's head"
        if _is_interpolation(steps):
            return "resolved interpolation"
        follows = path.startswith("augmentation.") or path.endswith(f".priors.{IMAGE_SIZE}")
        if follows and self._config.get(IMAGE_SIZE) is not None:
            return f"from {IMAGE_SIZE}={self._config[IMAGE_SIZE]}"
        return "filled in by detkit"

    def _written_steps(self, path: str) -> list[Step]:
        """The values in pages, in the order in which Hydra merges them."""
        steps: list[Step] = []
        keys = path.split(".")
        for config_path, package in self._order:
            prefix = package.split(".") if package else []
            mapping, file = self._origins.mapping_of(config_path)
            if keys[: len(prefix)] != prefix:
                continue
            value = _look_up(mapping, keys[len(prefix) :])
            if value is not MISSING:
                steps.append(Step(value, self._source(path, config_path, file)))
        if keys[-1] == "name":
            named = self._named_in_pages(path, steps)
            # A name without values is the option of the part itself, so Hydra knows no page for it.
            if named and steps and _is_default(steps[-1]) and named[-1].value == steps[-1].value:
                steps.pop()
            steps = named + steps
        return steps

    def _named_in_pages(self, path: str, steps: list[Step]) -> list[Step]:
        """The parts that pages name for a slot, without those in `steps`."""
        parent = path.removesuffix(".name")
        slot = slots.slot_at(tuple(parent.split(".")))
        if slot is None:
            return []
        files = [self._origins.mapping_of(config_path)[1] for config_path, _ in self._order]
        position = {file: number for number, file in enumerate(files)}
        in_force = {step.source for step in steps}
        lines = [*self._origins.lines(parent), *self._origins.lines(path)]
        lines.sort(key=lambda line: position.get(line[0].file, -1))
        return [
            Step(text, str(origin))
            for origin, text in lines
            if text in all_names(slot.family) and str(origin) not in in_force
        ]

    def _source(self, path: str, config_path: str, file: Path | None) -> str:
        option_name = config_path.rsplit("/", 1)[-1]
        if option_name == pages.CHECKPOINT or option_name.endswith(f"--{pages.CHECKPOINT}"):
            return "the checkpoint"
        parent = path.removesuffix(".name")
        matches = [
            o for name in (path, parent) for o, _ in self._origins.lines(name) if o.file == file
        ]
        if matches:
            return str(matches[-1])
        group, _, option = config_path.rpartition("/")
        for word in self._overrides:
            if word.text.lstrip("+") == f"{group}={option}":
                return f"command line: {word.typed}"
        outer, _, slot = group.rpartition("/")
        owner = target_of(self._root, self._config, f"{outer.replace('/', '.')}.name")
        return f"{_DEFAULT}{owner.owner if owner else 'the root'} for its {slot}"

    def _word_steps(self, path: str) -> list[Step]:
        """The steps in which the command line sets a value, the weakest first."""
        steps: list[Step] = []
        for word in self._overrides:
            override = parse(word.text)
            key = override.key_or_group
            if word.text.startswith("~") or "/" in key or (is_group(key) and path != key):
                continue
            if path == key or path.startswith(f"{key}."):
                inner_keys = path[len(key) + 1 :].split(".") if path != key else []
                value = _look_up(override.value(), inner_keys)
                if value is not MISSING:
                    steps.append(Step(value, f"command line: {word.typed}"))
        return steps


def merge_order(
    root: str, overrides: list[str], checkpoint: dict[str, Any] | None = None
) -> tuple[list[tuple[str, str]], Composition]:
    """(config path, package) of everything that Hydra merges, strongest last; and its pages."""
    words = prepare(split_flags(overrides)[1])
    with composing(), translated_errors(), hydra_session():
        _offer(checkpoint)
        words = hydra_words(hydra_compose(root, words)[1])
        with composing() as composition:  # reads the pages again, each once
            _offer(checkpoint)
            composition.includes.start(words)
            loader = GlobalHydra.instance().config_loader()
            result = loader.compute_defaults_list(root, words, RunMode.RUN)
    order = [(default.config_path or "", default.package or "") for default in result.defaults]
    return order, composition


def _offer(checkpoint: dict[str, Any] | None) -> None:
    if checkpoint is not None:
        pages.offer_checkpoint(checkpoint)


def _default_steps(node: PathTarget) -> list[Step]:
    argument = node.argument
    if argument is None or argument.slot is not None or argument.default is MISSING:
        return []
    where = f" ({display_path(node.file)})" if node.file is not None else ""
    return [Step(default_value(argument), f"{_DEFAULT}{node.owner}{where}")]


def _is_default(step: Step) -> bool:
    return step.source.startswith(_DEFAULT)


def _look_up(value: Any, keys: list[str]) -> Any:
    """The value at a path inside an override's or page's value; a bare name is a part's `name`."""
    for position, key in enumerate(keys):
        if isinstance(value, str) and keys[position:] == ["name"]:
            return value
        if not isinstance(value, Mapping) or key not in value:
            return MISSING
        value = value[key]
    return MISSING if isinstance(value, Mapping) and value else value


def _is_interpolation(steps: list[Step]) -> bool:
    return bool(steps) and isinstance(steps[-1].value, str) and "${" in steps[-1].value

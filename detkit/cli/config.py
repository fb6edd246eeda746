"""`detkit config`: the whole configuration, checked, its wiring and optimizer groups."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import yaml
from torch import nn

from detkit import assembly
from detkit.assembly import Classes, image_size
from detkit.cli.composed_model import composed_model
from detkit.cli.main import VERBS
from detkit.cli.optimizer_groups import optimizer_groups
from detkit.config.derived.image_size import anchor_note
from detkit.config.derived.pixel_statistics import pixels_text
from detkit.config.lost_values import lost_values
from detkit.config.override_text import value_of
from detkit.errors import UserError
from detkit.evaluation.operation_counts import predictions_by_level
from detkit.text import counted

HELP = """
usage: detkit config [KEY=VALUE ...]

Checks and prints the configuration that `detkit train` would run with the same overrides, and shows
the wiring: channels and stride of each level, priors, parameters, and the groups of the optimizer.
It trains nothing, reads no data and allocates no weights.

  detkit config model=fcos model/neck=fpn model.neck.out_channels=128
  detkit config experiment=demo image_size=320
  detkit config ckpt=RUN                          the configuration of a run

  detkit config explain KEY [KEY=VALUE ...]       where a value comes from, what it overrides
  detkit config diff A B                          what differs between runs, pages, experiments
  detkit config schedule [KEY=VALUE ...]          a plot of the learning rate over the steps

Priors are counted for image_size, else for the size that augmentation.evaluation gives all images,
else for 640 x 640.

num_classes=N      number of classes to assume (80); in training it comes from the data
"""


def run(arguments: list[str]) -> int:
    """Print the configuration and the wiring, or hand over to `explain`, `diff` or `schedule`."""
    if arguments and arguments[0] in VERBS["config"]:
        code: int = importlib.import_module(f"detkit.cli.config_{arguments[0]}").run(arguments[1:])
        return code
    count = whole(arguments, "num_classes", 80)
    words = [word for word in arguments if word.partition("=")[0] != "num_classes"]
    model = composed_model(words, count)
    composed, classes = model.composed, model.classes
    config = composed.config
    size = image_size(config)
    for line in [*lost_values(composed), *anchor_note(config, words)]:
        print(f"note: {line}", file=sys.stderr)
    table = wiring(config["model"], classes, size)
    groups = optimizer_groups(config, classes)
    print(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    print(table)
    print(groups)
    return 0


def wiring(model: dict[str, Any], classes: Classes, size: tuple[int, int]) -> str:
    """A table of levels, and the sizes of the detector, for images of (height, width).

    Raises:
        UserError: The detector takes no such images.
    """
    detector = assembly.describe_on_meta(model, classes).eval()
    lines = [f"wiring, for {size[0]} x {size[1]} pixels and {counted(len(classes.names), 'class')}"]
    if "pixel_mean" in model:
        lines.append(f"  pixels    {pixels_text(model)}")
    for name in ("backbone", "neck"):
        part = getattr(detector, name)
        levels = ", ".join(
            f"{s.channels} channels at stride {s.stride}" for s in part.feature_specs
        )
        lines.append(f"  {name:9} {model[name]['name']}: {levels}")
    dense = "proposer" if "proposer" in model else "head"
    lines.append(f"  {dense:9} {model[dense]['name']}{_predictions(detector, dense, size)}")
    if "roi_head" in model:
        lines.append(f"  roi_head  {_looks(model['roi_head'])}")
    sizes = {
        name: sum(p.numel() for p in part.parameters()) for name, part in detector.named_children()
    }
    parts = ", ".join(f"{name} {size / 1e6:.2f} M" for name, size in sizes.items())
    lines.append(f"  weights   {sum(sizes.values()) / 1e6:.2f} M parameters ({parts})")
    return "\n".join(lines)


def _predictions(detector: nn.Module, dense: str, size: tuple[int, int]) -> str:
    """The number of priors, or of queries."""
    head = detector.get_submodule(dense)
    counts = predictions_by_level(detector, head, size)
    if counts is None:
        return ""
    if hasattr(head, "priors"):
        return f": {sum(counts):,} priors ({_sum(counts)})"
    noun = "regions" if hasattr(head, "region_count") else "queries"
    return f": {sum(counts):,} {noun}"


def _looks(roi_head: dict[str, Any]) -> str:
    """Describe the parts of a roi head."""
    parts = [roi_head[key]["name"] for key in ("pooling", "box_head") if roi_head.get(key)]
    return ": ".join([roi_head["name"], " and ".join(parts)])


def _sum(counts: list[int]) -> str:
    return " + ".join(f"{count:,}" for count in counts)


def whole(arguments: list[str], key: str, default: int) -> int:
    """The whole number that `key=N` among the words gives.

    Raises:
        UserError: It is none above 0.
    """
    text = value_of(arguments, key)
    if text is None:
        return default
    if not text.isdigit() or int(text) == 0:
        raise UserError(f"{key}={text}: expected a whole number above 0.")
    return int(text)

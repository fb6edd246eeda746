"""`detkit assign`: show which priors are responsible for which objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detkit import assembly
from detkit.api.checkpoint_config import checkpoint_of, compose_with
from detkit.assembly import Classes
from detkit.cli.data_words import output_folder, own_options
from detkit.cli.output_folder import make_folder
from detkit.config.compose import compose
from detkit.config.derived.data_path import OWN, RENDERED, sets_only_path
from detkit.config.override_text import value_of
from detkit.data.collate import Collate
from detkit.data.detection_data import DetectionData
from detkit.data.detection_dataset import Key
from detkit.errors import ConfigError, UserError
from detkit.inference.assigning import ImageAssignment, assign, count, counts_as_text
from detkit.registry import NonNegativeInt, PositiveInt
from detkit.runs.checkpoint import Checkpoint, load_weights
from detkit.structures import Sample
from detkit.visualization.assignment import assignment_rows, assignment_sheet

HELP = """
usage: detkit assign [KEY=VALUE ...]

Shows an assigner at work on training images: for each level, which priors are positive and for
which object, which are ignored, and which objects got none. Prints counts, draws a picture of each
image. Takes the overrides of `detkit train`; priors and assigner come from the composed detector.

  detkit assign model=fcos data.path=DATA
  detkit assign model=fcos data.path=DATA against=atss against.topk=12
  detkit assign ckpt=RUN count=20

An assigner that uses predictions gets them from an untrained detector, or from ckpt=RUN. Heads of
corners show the cells of top left corners, then those of bottom right corners.

against=NAME          a second assigner, drawn below; its settings are against.KEY=VALUE
count=4               images to count and draw
positions=[A,B]       images by their position in the training split, instead of the first ones
augmented=true        use training samples of epoch 0 instead of unaugmented images
output=assignment     folder for the pictures; null writes none
"""


@dataclass(frozen=True)
class Options:
    """The command's options, in addition to the training's.

    Args:
        against: The name of a second assigner.
        count: Images to count and draw.
        positions: Images by their position in the training split; null takes the first ones.
        augmented: Whether to use augmented training samples instead of plain images.
        output: Folder for the pictures; null writes none.
    """

    against: str | None = None
    count: PositiveInt = 4
    positions: list[NonNegativeInt] | None = None
    augmented: bool = False
    output: str | None = "assignment"


def run(words: list[str]) -> int:
    """Count and draw assignments."""
    second = [word for word in words if word.startswith("against.")]
    options, settings = own_options(Options, [word for word in words if word not in second])
    if second and options["against"] is None:
        raise UserError(f"{second[0]}: name the second assigner as well, with against=NAME.")
    checkpoint = None
    if value_of(settings, "ckpt") not in (None, "null"):
        checkpoint = checkpoint_of(settings, "assign")
        rendered = checkpoint.config["data"]["reader"]["name"] == RENDERED
        settings += [OWN] if rendered and sets_only_path(settings) else []
    configs = _configs(settings, second, options["against"], checkpoint)
    first = next(iter(configs.values()))
    data = assembly.build_data(first)
    if checkpoint is not None:
        data = data.with_classes(checkpoint.class_names)
    output = output_folder(options["output"], data.path)
    samples = _samples(data, options)
    detectors = [_detector(config, data, checkpoint) for config in configs.values()]
    collate = Collate(pad_multiple=first["augmentation"]["pad_multiple"])
    assignments = assign(detectors, (collate([sample]) for sample in samples))
    if output is not None:
        make_folder(output)
        for number, (sample, by_detector) in enumerate(
            zip(samples, assignments, strict=True), start=1
        ):
            picture = _picture(sample, dict(zip(configs, by_detector, strict=True)))
            picture.save(output / f"{number:03d}.png")
    columns = zip(configs, zip(*assignments, strict=True), strict=True)
    print(counts_as_text({name: count(by_detector) for name, by_detector in columns}))
    if output is not None:
        print(f"\n{output}: {len(samples)} pictures")
    return 0


def _configs(
    words: list[str], second: list[str], against: str | None, checkpoint: Checkpoint | None
) -> dict[str, dict[str, Any]]:
    """The configuration of each assigner, by the assigner's name."""

    def composed(more: list[str]) -> dict[str, Any]:
        if checkpoint is None:
            return compose("train", [*words, *more])
        return compose_with(checkpoint, "resume", [*words, *more])

    first = composed([])
    model = first["model"]
    slots = ("head", "proposer", "roi_head")
    slot = next((key for key in slots if "assigner" in (model.get(key) or {})), None)
    if slot is None and against is None and "head" in model:
        return {model["head"]["name"]: first}  # which assigns by itself, or is refused later
    if slot is None:
        remedy = "there is nothing to show" if against is None else "leave out against"
        raise ConfigError([f"model: '{model['name']}' has no assigner, so {remedy}."])
    name = model[slot]["assigner"]["name"]
    if against is None:
        return {name: first}
    tuned = [f"model.{slot}.assigner.{word.removeprefix('against.')}" for word in second]
    label = against if against != name else f"{against} (second)"
    return {name: first, label: composed([f"model/{slot}/assigner={against}", *tuned])}


def _samples(data: DetectionData, options: dict[str, Any]) -> list[Sample]:
    index = data.train_index
    positions = options["positions"]
    if positions is None:
        positions = list(range(min(options["count"], len(index))))
    if not positions or max(positions) >= len(index):
        raise UserError(
            f"positions={positions}: the training split has images 0 to {len(index) - 1}."
        )
    dataset = data.train_dataset() if options["augmented"] else data.plain_dataset(index)
    return [dataset[Key(0, position)] for position in positions]


def _detector(config: dict[str, Any], data: DetectionData, checkpoint: Checkpoint | None) -> Any:
    torch.manual_seed(config["seed"])  # so that untrained detectors get the same weights
    classes = Classes(data.class_names, data.category_ids, data.class_counts)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    if checkpoint is not None:
        load_weights(detector, checkpoint)
    return detector.eval()


def _picture(sample: Sample, assignments: dict[str, ImageAssignment]) -> Any:
    rows = [
        assignment_rows(
            sample.image, assignment.target, name, assignment.priors, assignment.matched
        )
        for name, assignment in assignments.items()
    ]
    height, width = sample.size
    return assignment_sheet(rows, f"{Path(sample.path).name}, {width} x {height}")

"""`detkit data show`: draw training samples as the detector sees them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit import assembly
from detkit.cli.data_words import output_folder, own_options
from detkit.cli.output_folder import make_folder
from detkit.config.compose import compose
from detkit.data.detection_data import DetectionData
from detkit.data.detection_dataset import Key
from detkit.errors import UserError
from detkit.registry import NonNegativeInt, PositiveInt
from detkit.structures import Sample
from detkit.text import counted
from detkit.visualization.panels import OVERVIEW
from detkit.visualization.samples import draw_sample, sample_sheet

HELP = """
usage: detkit data show [PATH] [KEY=VALUE ...]

Draws training samples as the detector sees them: decoded, augmented, resized, with their boxes, and
with their masks if the model learns masks (model=mask_rcnn).
Takes the overrides of `detkit train`, and draws the samples that it would train on, in its order:
the first ones of an epoch, or the images at the given positions.

  detkit data show DATA
  detkit data show DATA augmentation=mosaic count=16
  detkit data show experiment=small_data data.path=DATA epoch=3 positions=[0,17]

count=9               samples to draw
epoch=0               the epoch of the samples
positions=[A,B]       images by their position in the training split, instead of the first ones
output=data_show      folder for overview.png and a picture of each sample
"""


@dataclass(frozen=True)
class Options:
    """The command's options, in addition to the training's.

    Args:
        count: Samples to draw.
        epoch: The epoch of the samples.
        positions: Images by their position in the training split; null takes the first samples.
        output: Folder for the pictures.
    """

    count: PositiveInt = 9
    epoch: NonNegativeInt = 0
    positions: list[NonNegativeInt] | None = None
    output: str = "data_show"


def run(words: list[str]) -> int:
    """Draw samples and list them.

    Raises:
        UserError: A position has no image.
    """
    options, remaining = own_options(Options, words)
    paths = [word for word in remaining if "=" not in word and not word.startswith("-")]
    if len(paths) > 1:
        raise UserError(f"path is given twice: '{paths[0]}' and '{paths[1]}'.")
    settings = [word for word in remaining if word not in paths]
    settings += [f"data.path='{path}'" for path in paths]
    data = assembly.build_data(compose("train", settings))
    output = output_folder(options["output"], data.path) or Path("data_show")
    keys = _keys(data, options)
    dataset = data.train_dataset()
    samples = [dataset[key] for key in keys]
    make_folder(output)
    for earlier in output.glob("*.png"):
        earlier.unlink()
    lines = []
    for number, (key, sample) in enumerate(zip(keys, samples, strict=True), start=1):
        file = f"{number:03d}.png"
        draw_sample(sample, data.class_names).save(output / file)
        lines.append(f"{file}  {_described(key, sample, data.class_names)}")
    _sheet(keys, samples, data.class_names).save(output / f"{OVERVIEW}.png")
    print("\n".join([*lines, f"{output}: {OVERVIEW}.png, {counted(len(samples), 'picture')}"]))
    return 0


def _keys(data: DetectionData, options: dict[str, Any]) -> list[Key]:
    """The keys of the samples to draw."""
    batches = data.train_batches()
    batches.set_epoch(options["epoch"])
    if options["positions"] is None:
        drawn: list[Key] = []
        for batch in batches:
            drawn += batch
            if len(drawn) >= options["count"]:
                break
        return drawn[: options["count"]]
    count = len(data.train_index)
    absent = [position for position in options["positions"] if position >= count]
    if absent or not options["positions"]:
        raise UserError(
            f"positions={options['positions']}: the training split has images 0 to {count - 1}."
        )
    keys = {key.position: key for batch in reversed(list(batches)) for key in reversed(batch)}
    return [keys.get(p, Key(options["epoch"], p)) for p in options["positions"]]


def _described(key: Key, sample: Sample, class_names: list[str]) -> str:
    height, width = sample.size
    labels = Counter(class_names[label] for label in sample.target.labels.tolist())
    objects = ", ".join(f"{count} {name}" for name, count in labels.most_common()) or "no object"
    name = Path(sample.path).name
    return f"position {key.position} ({name}), {width} x {height} pixels: {objects}"


def _sheet(keys: list[Key], samples: list[Sample], class_names: list[str]) -> Any:
    captions = [
        f"{number:03d}  {Path(sample.path).name}  {sample.size[1]} x {sample.size[0]}"
        for number, sample in enumerate(samples, start=1)
    ]
    return sample_sheet(samples, captions, class_names, note=f"epoch {keys[0].epoch}")

"""`detkit data stats`: summarise a data set in tables and plots."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from numpy.typing import NDArray

from detkit.cli.data_check import quiet_readers, resizing_of
from detkit.cli.data_words import (
    build_reader,
    options,
    output_folder,
    report_folder,
    training_split,
)
from detkit.cli.output_folder import make_folder
from detkit.data.audit.evidence import Resizing, Split, read_splits
from detkit.data.audit.statistics import (
    measure,
    split_statistics,
    statistics_as_plain,
    statistics_as_text,
)
from detkit.errors import DataError
from detkit.ops.class_weights import class_weights, effective_number_weights
from detkit.registry import PositiveInt, Slot
from detkit.visualization.data_plots import SplitMeasures, plot_data

HELP = """
usage: detkit data stats PATH [KEY=VALUE ...]

Counts images, objects and classes of each split, and measures images and boxes: in original pixels,
and after resizing, relative to the strides of the detector's levels.
Prints tables, and class weights for a loss; writes stats.json and stats.png.

  detkit data stats DATA
  detkit data stats DATA short_side=1024 long_side=null strides=[4,8,16,32]

reader=auto           the reader of the folder; its settings are reader.KEY=VALUE
splits=[A,B]          read only these splits
output=data_stats     folder for stats.json and stats.png; if it holds another data set's report, a
                      folder beside it; null writes none
short_side=640        size of the images that the detector sees, as in the transform `resize`
long_side=1066        (null: no limit)
enlarge=false
strides=[8,16,...]    strides of the detector's levels, finest first
"""
REPORT = "stats.json"
_BETA = 0.999  # of the effective numbers; the paper tries 0.9 to 0.9999


@dataclass(frozen=True)
class Options:
    """The command's options.

    Args:
        path: Folder of the data set.
        reader: The reader of the folder.
        splits: Splits to read; null takes all.
        output: Folder for stats.json and stats.png; null writes none.
        short_side: Length of an image's short side after resizing.
        long_side: Maximum length of the long side; null sets no limit.
        enlarge: Whether small images are enlarged.
        strides: Strides of the detector's levels, finest first.
    """

    path: str
    reader: Annotated[object, Slot("reader", "auto")]
    splits: list[str] | None = None
    output: str | None = "data_stats"
    short_side: PositiveInt = 640
    long_side: PositiveInt | None = 1066
    enlarge: bool = False
    strides: list[PositiveInt] | None = None


def run(words: list[str]) -> int:
    """Print the statistics of a data set.

    Raises:
        DataError: A split cannot be read.
    """
    settings = options(Options, words)
    path = Path(settings["path"]).expanduser()
    output = output_folder(settings["output"], path)
    elsewhere = ""
    if output is not None:
        output, elsewhere = report_folder(output, REPORT, path)
    resizing = resizing_of(settings)
    with quiet_readers():
        splits, refused, _ = read_splits(build_reader(settings["reader"]), path, settings["splits"])
    if refused:
        raise DataError("; ".join(f"split '{name}': {reason}" for name, reason in refused.items()))
    numbers = {split.name: split_statistics(split, resizing) for split in splits}
    if output is not None:
        make_folder(output)
        text = json.dumps(statistics_as_plain(path, numbers, resizing), indent=2)
        (output / REPORT).write_text(text + "\n", encoding="utf-8")
        measures = [_measures(split, resizing) for split in splits]
        plot_data(measures, resizing.strides, output / "stats.png")
    print(
        statistics_as_text(path, numbers)
    )  # after writing the files, because `| head` ends the command here
    print(f"\n{weights_snippet(training_split(splits))}")
    if output is not None:
        print(f"\n{output}: {REPORT}, stats.png{elsewhere}")
    return 0


def weights_snippet(split: Split) -> str:
    """Class weights as YAML: moderate ones, ones that equalise the classes, class-balanced ones."""
    counts = np.bincount(
        split.index.labels[~split.index.ignored], minlength=len(split.index.class_names)
    )
    lines = [f"# classes of '{split.name}' weighted by 1 / sqrt(objects); mean over objects 1"]
    lines += ["model:", "  head:", "    classification_loss:", "      class_weights:"]
    names = split.index.class_names
    lines += [f"        {line}" for line in _weights(names, counts, class_weights(counts, 0.5))]
    lines += ["# weighted by 1 / objects, which gives all classes the same total weight:"]
    lines += [f"# {line}" for line in _weights(names, counts, class_weights(counts, 1.0))]
    lines += [f"# class-balanced: weighted by 1 / effective number of objects, beta {_BETA}:"]
    balanced = effective_number_weights(counts, _BETA)
    lines += [f"# {line}" for line in _weights(names, counts, balanced)]
    return "\n".join(lines)


def _weights(
    names: list[str], counts: NDArray[np.int64], weights: NDArray[np.float64]
) -> list[str]:
    rounded = [float(f"{weight:.3g}") for weight in weights]
    present = {n: w for n, w, count in zip(names, rounded, counts, strict=True) if count}
    text: str = yaml.safe_dump(present, sort_keys=False, allow_unicode=True, width=10_000)
    return text.splitlines()


def _measures(split: Split, resizing: Resizing) -> SplitMeasures:
    boxes = measure(split, resizing)
    counts = np.bincount(boxes.labels, minlength=len(split.index.class_names)).tolist()
    return SplitMeasures(
        name=split.name,
        class_counts=dict(zip(split.index.class_names, counts, strict=True)),
        image_sizes=split.index.sizes,
        objects_per_image=np.bincount(boxes.owners, minlength=len(split.index)),
        seen=boxes.seen,
        ratios=boxes.sides[:, 0] / boxes.sides[:, 1],
        centres=boxes.centres,
    )

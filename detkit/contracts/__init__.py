"""The contract of each family, as checks that a part passes or breaks.

`detkit/interfaces.py` defines on one page the inputs and outputs of each family. This package
tests them: on images and batches of several sizes, on images with no object, one and a thousand,
in float32 and under bfloat16 autocast, twice in a row, and after saving and loading a state dict.
detkit's own parts pass the same checks as plugins:

    from detkit.contracts import cases

    @pytest.mark.parametrize("case", cases("neck", "my_neck"), ids=str)
    def test_contract(case):
        case()

`detkit plugin check neck/my_neck` runs them and prints a report. The promises:

- every part: it can be built from its defaults and what detkit wires, raises UserError for inputs
  that it does not support, has a docstring, and its defaults have the declared types.
- backbone, neck: feature maps match `feature_specs`, also for images with odd sides; every
  parameter gets a gradient; images do not affect each other; they run on the meta device.
- networks (also heads, roi heads, poolings and box heads): in evaluation mode outputs are
  deterministic; state dicts contain all state, inputs are not modified, bfloat16 is close to
  float32, and pure functions of tensors can be exported: backbones, necks, layers and box heads
  for any batch and size.
- layers: a row of class logits and box codes for each prior, in the order of the priors.
- head, proposer, roi_head, detector: losses are finite and reach every parameter, whatever the
  images contain; detections are inside their image and sorted by score, and do not depend on the
  rest of the batch.
- pooling, box_head: a map, or a feature vector, for each region, also without regions.
- priors: `per_cell` for each cell, in row-major order, cached by size.
- box_coder: decoding inverts encoding, leading axes broadcast, any code decodes to a finite box.
- assigner, sampler, quality_target: indices of objects, BACKGROUND or IGNORED; masks that exclude
  ignored priors; targets in 0..1.
- loss: one float32 value for each pair, finite also for extreme inputs, lowest at the target, with
  the weight left to the head.
- postprocess: no more detections than candidates, sorted by score, for any order of candidates.
- transform: image, boxes and `to_image` change together, using only the given generator.
- reader, sampling: indices of flat arrays whose boxes are inside their images; shares of 0 or more.
- metric: 1 for perfect detections; each image counts once; merged ranks equal one process.
- optimizer, scheduler: every parameter is trained; a resumed run equals an uninterrupted one.
- callback, logger: they do not change the training, and it can be resumed from its checkpoint. A
  callback that is meant to change the training sets `changes_training = True` on its class.
- exporter: the written model gives PyTorch's outputs for images of any size and number.
- writer: files stay in the output folder, belong to one image, and are the same each time.

A promise that cannot be checked on a part raises LeftOutError, which pytest reports as skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detkit import registry
from detkit.contracts.case import BrokenContractError, Case, LeftOutError, Subject, subject
from detkit.contracts.catalogue import promises
from detkit.errors import UserError

__all__ = ["BrokenContractError", "Case", "LeftOutError", "Subject", "cases"]


def cases(family: str, name: str, *, data: str | Path | None = None, **values: Any) -> list[Case]:
    """The checks of all promises of a part; call each of them.

    Args:
        family: The part's family.
        name: Its name; if it is unknown, plugins are loaded as on the command line.
        data: For readers: a folder with a data set in their format.
        values: Constructor arguments other than the defaults, as in YAML.

    Raises:
        UserError: There is no such part, or its constructor cannot be read.
        ConfigError: A value is invalid, or one without a default is missing.
    """
    folder = None if data is None else Path(data)
    try:
        prepared = subject(family, name, values, folder)
    except UserError:  # a part of a plugin, or an error that the second attempt raises
        registry.load_plugins()
        prepared = subject(family, name, values, folder)
    return [Case(prepared, check) for check in promises(family, name)]

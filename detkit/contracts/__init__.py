"""The published contract of each family, as checks that a part passes or breaks.

`detkit/interfaces.py` says on one page what a part of each family takes and gives. This package
tries it: on images of several sizes and in batches of several sizes, on images without an object,
with one and with a thousand, in float32 and under bfloat16 autocast, twice in a row, and from a
state dict that went through a file. detkit's own parts pass the same checks as plugins do:

    from detkit.contracts import cases

    @pytest.mark.parametrize("case", cases("neck", "my_neck"), ids=str)
    def test_contract(case):
        case()

`detkit plugin check neck/my_neck` runs them with a report. What is promised:

- every part: it can be built from its defaults and what detkit wires, refuses what it cannot work
  on with a UserError, has a docstring, and defaults of the types that it declares.
- backbone, neck: maps are what `feature_specs` say, also for images of odd sides; each parameter
  gets a gradient; an image does not see others; shapes are known on the meta device.
- networks (also heads, roi heads, poolings and box heads): in evaluation mode the same input gives
  the same result, state dicts hold everything, inputs stay as they are, bfloat16 is close to
  float32; what is a pure function of tensors can be exported.
- head, proposer, roi_head, detector: losses are finite and reach each parameter whatever the images
  hold; detections lie in their image, best first, and do not depend on the rest of the batch.
- pooling, box_head: a map, or features, for each region, also for none.
- priors: as many as `per_cell` says, row by row, made once for the same sizes.
- box_coder: decoding undoes encoding, leading axes broadcast, any code gives a finite box.
- assigner, sampler, quality_target: indices of objects, BACKGROUND or IGNORED; masks without what
  is ignored; shares in 0..1.
- loss: one value for each pair, in float32, finite also at extremes, falling to the target, its
  weight left to the head.
- postprocess: no more detections than candidates, best first, in any order of candidates.
- transform: image, boxes and `to_image` move together, by the generator's random numbers alone.
- reader, sampling: indices of flat arrays whose boxes lie in their images; shares from 0 on.
- metric: 1 for perfect detections, an image counts once, ranks together equal one process.
- optimizer, scheduler: each parameter moves, and from a saved state on as without a break.
- callback, logger: a training goes as without it, and goes on from its checkpoint. A callback that
  is there to change the training says `changes_training = True` on its class.

A promise that cannot be checked on a part raises LeftOutError, which pytest shows as skipped.
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
    """Everything that a part promises, to be called one by one.

    Args:
        family: The part's family.
        name: Its name; where it is not known, plugins are loaded as the command line does.
        data: For readers: a folder with a data set of their format, for what needs one.
        values: Values of the constructor other than the defaults, as YAML would have them.

    Raises:
        UserError: There is no such part, or its constructor cannot be read.
        ConfigError: A value does not fit, or one without default is missing.
    """
    folder = None if data is None else Path(data)
    try:
        chosen = subject(family, name, values, folder)
    except UserError:  # a name that only a plugin knows, or what will be told in a moment
        registry.load_plugins()
        chosen = subject(family, name, values, folder)
    return [Case(chosen, check) for check in promises(family, name)]

"""`detkit config explain`: where a value came from, what it overrode, what it means."""

from __future__ import annotations

import shutil
import textwrap

from detkit.api.checkpoint_config import checkpoint_of, chooses_model
from detkit.api.earlier_settings import KEY as SETTINGS
from detkit.api.earlier_settings import with_settings
from detkit.config import compose
from detkit.config.difference import value_text
from detkit.config.override_text import value_of
from detkit.config.pages import CHECKPOINT
from detkit.config.provenance import Explanation, History
from detkit.errors import UserError

HELP = """
usage: detkit config explain KEY [KEY=VALUE ...]

Shows where a value comes from that `detkit train` would use with the same overrides: the
constructor's default, each page with its line, the command line; what overrides what, and what the
value means. The value in force is marked with *. If KEY is a block, shows each value in it.

  detkit config explain model.neck.out_channels model=fcos
  detkit config explain optimizer experiment=demo optimizer.learning_rate=0.01
  detkit config explain data ckpt=RUN             a run, which does not record its pages
"""


def run(arguments: list[str]) -> int:
    """Print the history of a key, or of each key of a block.

    Raises:
        UserError: Not one key is named, or there is none of this name.
    """
    keys = [word for word in arguments if "=" not in word and not word.startswith(("-", "~"))]
    if len(keys) != 1:
        raise UserError(
            "'detkit config explain' takes one KEY and the words of a run, such as `detkit config "
            f"explain model.neck.out_channels model=fcos`; got {len(keys)} keys."
        )
    words = [word for word in arguments if word != keys[0]]
    root, checkpoint = "train", None
    if value_of(words, "ckpt") not in (None, "null"):
        root, checkpoint = "resume", checkpoint_of(words, "config", prefer="last").config
    if run := value_of(words, SETTINGS):
        words, checkpoint = with_settings(run, [w for w in words if not w.startswith(SETTINGS)])
        words += [] if chooses_model(words) else [f"model={CHECKPOINT}"]
    config = compose.compose(root, words, checkpoint)
    explanation = History(root, config, words, checkpoint).explain(keys[0])
    print("\n\n".join(map(text, explanation)))
    return 0


def text(explanation: Explanation) -> str:
    """A value, what it means, and the values before it, the one in force marked."""
    width = shutil.get_terminal_size((100, 24)).columns
    lines = [f"{explanation.path} = {value_text(explanation.value)}"]
    if explanation.meaning:
        lines.append(
            textwrap.fill(explanation.meaning, width, initial_indent="  ", subsequent_indent="  ")
        )
    values = [value_text(step.value) for step in explanation.steps]
    longest = min(max(map(len, values)), 30)
    for number, (value, step) in enumerate(zip(values, explanation.steps, strict=True), 1):
        mark = "*" if number == len(values) else " "
        lines.append(f"  {mark} {value:{longest}}  {step.source}")
    return "\n".join(lines)

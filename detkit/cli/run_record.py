"""What is known of a run: from its folder, its configuration file or a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from detkit.config.comparison import RunRecord
from detkit.config.freeze import FILE
from detkit.config.syntax import parse, read_text
from detkit.errors import UserError
from detkit.inference.checkpoint import find_checkpoint, read_checkpoint
from detkit.training.run import FILE as ENVIRONMENT


def read_run(place: str, key: str = "ckpt") -> RunRecord:
    """What a run folder, a configuration file or a checkpoint says of its run.

    Args:
        place: The folder or file.
        key: The key that named it, for messages.

    Raises:
        UserError: It cannot be read.
    """
    path = Path(place).expanduser()
    file = path / FILE if path.is_dir() else path
    if file.is_file() and file.suffix in (".yaml", ".yml"):
        content = yaml.safe_load(read_text(file)) if parse(file, read_text(file)) else {}
        return RunRecord(content, _environment(file.with_name(ENVIRONMENT)))
    checkpoint = read_checkpoint(find_checkpoint(place, key=key))
    known = {"seed": checkpoint.config.get("seed"), "data": checkpoint.record.data}
    return RunRecord(checkpoint.config, {k: v for k, v in known.items() if v is not None})


def _environment(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as JSON: {error}.") from error
    return content if isinstance(content, dict) else {}

"""Read the record of a run from its folder, its configuration file or a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from detkit.config.page_syntax import parse, read_text
from detkit.errors import UserError
from detkit.runs.checkpoint import find_checkpoint, read_checkpoint
from detkit.runs.layout import CONFIG, ENVIRONMENT
from detkit.runs.older_config import with_current_keys
from detkit.runs.run_comparison import RunRecord


def read_run(source: str, key: str = "ckpt") -> RunRecord:
    """Read the record of a run from its folder, a configuration file or a checkpoint.

    Args:
        source: The folder or file.
        key: The key that the user set to it, for messages.

    Raises:
        UserError: It cannot be read.
    """
    path = Path(source).expanduser()
    file = path / CONFIG if path.is_dir() else path
    if file.is_file() and file.suffix in (".yaml", ".yml"):
        content = yaml.safe_load(read_text(file)) if parse(file, read_text(file)) else {}
        return RunRecord(with_current_keys(content), _environment(file.with_name(ENVIRONMENT)))
    checkpoint = read_checkpoint(find_checkpoint(source, key=key))
    facts = {"seed": checkpoint.config.get("seed"), "data": checkpoint.record.data}
    return RunRecord(checkpoint.config, {k: v for k, v in facts.items() if v is not None})


def _environment(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as JSON: {error}.") from error
    return content if isinstance(content, dict) else {}

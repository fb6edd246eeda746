"""The model card of a bundle on the Hugging Face hub: README.md with front matter.

`huggingface_hub` writes the front matter, so that it follows the hub's own rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from detkit.runs.checkpoint import Checkpoint
from detkit.text import counted, file_size
from detkit.weights.start import model_text

CARD = "README.md"
_METRICS = ("AP", "AP50", "AP75", "mask_AP", "mask_AP50")
_MOST_CLASSES = 100


def model_card(
    checkpoint: Checkpoint,
    bundle: Mapping[str, Any],
    repository: str,
    licence: str | None,
) -> str:
    """Write the model card of a detector.

    Args:
        checkpoint: The detector.
        bundle: The content of its `bundle.json`.
        repository: OWNER/NAME on the hub.
        licence: The licence of the weights, by the hub's name for it; None states none.
    """
    name, data = repository.partition("/")[2], data_name(checkpoint.config)
    metrics = bundle.get("metrics") or {}
    numbers = {key: float(metrics[key]) for key in _METRICS if _is_number(metrics.get(key))}
    rows = [
        ("Detector", f"{model_text(checkpoint.config['model'])}; {_parameters(checkpoint)}"),
        ("Classes", _class_names(checkpoint.class_names)),
        ("Data", _data(data, checkpoint.record.data or bundle.get("data"))),
        ("Measured on its validation split", _measured(numbers)),
        ("Epochs", str(checkpoint.epoch)),
        ("Score threshold", _threshold(bundle.get("score_threshold"))),
        ("Size", file_size(sum(file["bytes"] for file in bundle["files"].values()))),
        *_origin(checkpoint),
        ("Licence", licence or "not stated"),
        ("Made with", _versions(bundle.get("versions") or {})),
    ]
    table = "\n".join(f"| {key} | {_cell(value)} |" for key, value in rows)
    return (
        f"---\n{_front_matter(name, data, numbers, licence)}\n---\n\n# {name}\n\n"
        f"An object detector trained with detkit.\n\n| | |\n|---|---|\n{table}\n\n"
        f"{_usage(repository)}"
    )


def data_name(config: Mapping[str, Any]) -> str:
    """The name of the data set's folder, or of the reader that makes it."""
    data = config.get("data") or {}
    path, reader = data.get("path"), data.get("reader") or {}
    return Path(path).resolve().name if path else str(reader.get("name", "unknown"))


def _front_matter(name: str, data: str, numbers: Mapping[str, float], licence: str | None) -> str:
    results = [
        EvalResult(
            task_type="object-detection",
            dataset_type=data,
            dataset_name=data,
            dataset_split="validation",
            metric_type=key,
            metric_name=key,
            metric_value=round(value, 4),
        )
        for key, value in numbers.items()
    ]
    card = ModelCardData(
        license=licence,
        library_name="detkit",
        pipeline_tag="object-detection",
        tags=["object-detection"],
        model_name=name,
        eval_results=results or None,
    )
    return card.to_yaml()


def _usage(repository: str) -> str:
    address = f"hf://{repository}"
    return (
        "## Use\n\n```\npip install detkit\n"
        f"detkit predict ckpt={address} source=PHOTOS\n"
        f"detkit train weights={address} data.path=DATA\n```\n\n"
        f'```python\nimport detkit\n\ndetector = detkit.load("{address}")\n'
        'results = detector.predict("photo.jpg")\n```\n'
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _origin(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """The weights that this detector was made from, whose licence may hold for it, too."""
    source, start = checkpoint.record.source or {}, checkpoint.config.get("weights")
    imported = f"{source['kind']}, {source['file']}" if {"kind", "file"} <= source.keys() else None
    return [("Made from", text) for text in (imported, start) if text]


def _parameters(checkpoint: Checkpoint) -> str:
    count = sum(value.numel() for value in checkpoint.weights.values())
    return f"{count / 1e6:.1f} M weights"


def _class_names(names: list[str]) -> str:
    more = ", ..." if len(names) > _MOST_CLASSES else ""
    return f"{counted(len(names), 'class')}: {', '.join(names[:_MOST_CLASSES])}{more}"


def _data(name: str, fingerprints: Any) -> str:
    prints = fingerprints if isinstance(fingerprints, Mapping) else {}
    text = ", ".join(f"{split} `{value}`" for split, value in prints.items())
    return f"{name}; fingerprints: {text}" if text else name


def _measured(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{key} {value:.3f}" for key, value in numbers.items()) or "not measured"


def _threshold(value: Any) -> str:
    return f"{value:.2f}, where F1 was best" if _is_number(value) else "not measured"


def _versions(versions: Mapping[str, Any]) -> str:
    shown = [f"{name} {versions[name]}" for name in ("detkit", "torch") if name in versions]
    return ", ".join(shown) or "unknown"


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")

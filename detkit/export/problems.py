"""Parts that cannot be exported, found before any work starts."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from detkit.errors import ConfigError
from detkit.export.graph import mask_heads


def refuse_problems(detector: nn.Module, *, nms: bool) -> None:
    """Refuse a detector with parts that no exported graph can hold.

    A part says so in `export_problem`: what is wrong and which part to use instead.

    Args:
        detector: The built detector.
        nms: Whether the graph holds the post-processing.

    Raises:
        ConfigError: With all such parts, by config path.
    """
    problems = []
    for path, problem in _problems(detector):
        is_postprocess = path.rpartition(".")[2] == "postprocess"
        if nms or not is_postprocess:
            remedy = ", or nms=false" if is_postprocess else ""
            problems.append(f"model.{path}: {problem.rstrip('.')}{remedy}.")
    if not nms:
        problems += [
            f"model.{path}: masks are predicted for detections, and nms=false leaves those to "
            f"another engine: use nms=true, or model.{path}=null to export boxes alone."
            for path in mask_heads(detector)
        ]
    verb = "detect" if nms else "raw_detections"
    if not callable(getattr(detector, verb, None)):
        problems.append(
            f"model: the detector ({type(detector).__name__}) has no method `{verb}(images)` for "
            "graphs: write one as in detkit/detectors/one_stage.py."
        )
    if problems:
        raise ConfigError(problems)


def _problems(detector: nn.Module) -> Iterator[tuple[str, str]]:
    """(config path, problem) of modules and of the plain objects that they hold."""
    for path, module in detector.named_modules():
        if problem := getattr(module, "export_problem", ""):
            yield path, problem
        for name, value in vars(module).items():
            is_part = not name.startswith("_") and not isinstance(value, nn.Module)
            if is_part and (problem := getattr(value, "export_problem", "")):
                yield f"{path}.{name}".lstrip("."), problem

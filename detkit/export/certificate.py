"""The certificate of an exported model: what was compared with PyTorch, and how well it agrees."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from detkit.structures.export_graph import LayerNoise
from detkit.text import counted

_MARKS = {True: "ok", False: "FAILED", None: "not done"}
_LISTED = 10  # layers of a sensitivity table that are printed


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: What was compared.
        passed: The result; None if it could not be done.
        text: The numbers, or the reason.
    """

    name: str
    passed: bool | None
    text: str


@dataclass(frozen=True)
class Speed:
    """Milliseconds for one image on one thread of this machine.

    Attributes:
        size: Height and width of the image.
        pytorch: PyTorch in float32.
        engine: The engine, in the precision of the export.
        float_engine: The engine in float32; only for int8.
    """

    size: tuple[int, int]
    pytorch: float
    engine: float
    float_engine: float | None = None


@dataclass(frozen=True)
class Certificate:
    """What an exported model was checked for.

    Attributes:
        file: The name of the model's file or folder.
        exporter: Its format.
        engine: The engine that ran it, with its version.
        precision: `fp32`, `fp16` or `int8`.
        checks: All comparisons.
        megabytes: Size of the model.
        float_megabytes: Size of the float32 model; only for int8.
        ap: AP by program, if it was measured.
        mask_ap: AP of masks by program, if it was measured.
        rows: Number of compared detections on the validation images, or raw rows.
        different: How many of them differ.
        pixels: Largest difference of a box among the others.
        score: Largest difference of a score among the others.
        mask: Largest difference of a probability in their masks; None without masks.
        speed: How fast the model runs.
        sensitivity: What int8 costs each layer, if it was measured.
        first_difference: The first layer whose output differs, if the certificate failed.
    """

    file: str
    exporter: str
    engine: str
    precision: str
    checks: list[Check]
    megabytes: float
    float_megabytes: float | None = None
    ap: dict[str, float] = field(default_factory=dict)
    mask_ap: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    different: int = 0
    pixels: float = 0.0
    score: float = 0.0
    mask: float | None = None
    speed: Speed | None = None
    sensitivity: list[LayerNoise] = field(default_factory=list)
    first_difference: str | None = None

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)

    def to_json(self) -> str:
        """All values."""
        content = {"passed": self.passed, **asdict(self)}
        content["sensitivity"] = [noise._asdict() for noise in self.sensitivity]
        return json.dumps(content, indent=2) + "\n"

    def text(self) -> str:
        """A few lines for people."""
        verdict = "passed" if self.passed else "FAILED"
        if any(check.passed is None for check in self.checks):
            verdict += ", not everything was checked"
        heading = f"{self.file} ({self.exporter}, {self.precision}) in {self.engine}"
        lines = [f"certificate of {heading}: {verdict}"]
        lines += [f"  {_MARKS[check.passed]:10}{check.name}: {check.text}" for check in self.checks]
        lines.append(f"  {self._size_text()}")
        if self.speed is not None:
            lines.append(f"  {self._speed_text(self.speed)}")
        if self.first_difference is not None:
            lines.append(f"  first layer that differs: {self.first_difference}")
        return "\n".join([*lines, *self._sensitivity_lines()])

    def _size_text(self) -> str:
        before = self.float_megabytes
        return f"{self.megabytes:.1f} MB" + (f", {before:.1f} MB in fp32" if before else "")

    def _speed_text(self, speed: Speed) -> str:
        height, width = speed.size
        engine = self.engine.split()[0]
        text = f"one image of {height} x {width} on one thread: {speed.pytorch:.1f} ms in PyTorch, "
        text += f"{speed.engine:.1f} ms in {engine}"
        if speed.float_engine is not None:
            text += f" ({speed.float_engine:.1f} ms in fp32)"
        return text

    def _sensitivity_lines(self) -> list[str]:
        if not self.sensitivity:
            return []
        layers = counted(len(self.sensitivity), "layer")
        lines = [
            f"  signal to noise of the outputs if one of {layers} is int8, in decibels, worst "
            "first (keep_float=[LAYER] leaves it in float):"
        ]
        return lines + [
            f"    {noise.decibels:6.1f}  {noise.layer}" for noise in self.sensitivity[:_LISTED]
        ]

    def write(self, folder: Path, name: str) -> list[Path]:
        """Write it beside the model as JSON and as text."""
        files = [folder / f"{name}.certificate.{kind}" for kind in ("json", "txt")]
        for file, text in zip(files, (self.to_json(), f"{self.text()}\n"), strict=True):
            file.write_text(text, encoding="utf-8")
        return files

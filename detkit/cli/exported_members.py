"""The exported files of a command, and several detectors as one; imports no torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detkit.api.augmented_backend import AugmentedBackend, ViewBackend
from detkit.api.backend import Backend
from detkit.api.exported_backend import ExportedBackend
from detkit.api.merged_backend import MergedBackend
from detkit.api.view_settings import ViewSettings
from detkit.inference.engines.opening import files_of


@dataclass(frozen=True)
class FileMember:
    """An exported file of an ensemble."""

    file: Path
    device: str

    @property
    def files(self) -> list[Path]:
        """The files that hold the detector."""
        return list(files_of(self.file))

    def open(self) -> ExportedBackend:
        """Start its engine, and print which one it is."""
        backend = ExportedBackend(self.file, device=self.device)
        print(f"engine: {backend.engine.description}", file=sys.stderr)
        return backend


def merged(networks: Sequence[ViewBackend], views: ViewSettings | None) -> Backend:
    """One backend of several; prints lines about classes and masks that are not merged."""
    backend = networks[0] if views is None else views.backend(networks)
    if isinstance(backend, AugmentedBackend | MergedBackend):
        for note in backend.notes:
            print(note, file=sys.stderr)
    return backend

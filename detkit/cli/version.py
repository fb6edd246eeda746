"""`detkit version`: the versions to copy into a bug report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from detkit.version import __version__

HELP = """
usage: detkit version

Prints the versions of detkit, Python and the libraries that it depends on.
"""

LIBRARIES = ("torch", "torchvision", "lightning", "hydra-core", "omegaconf", "timm", "pycocotools")


def run(arguments: list[str]) -> None:
    """Print one line per package."""
    print(f"detkit {__version__}")
    print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for library in LIBRARIES:
        print(f"{library} {_version(library)}")


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "is not installed"

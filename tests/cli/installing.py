"""Helpers for tests of plugins: separate processes, and pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(
    folder: Path, *words: str, path: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, with this detkit and what is installed at a path."""
    places = os.pathsep.join(place for place in (path, str(ROOT)) if place)
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1", **variables}
    environment.pop("DETKIT_DISABLE_ENTRYPOINTS", None)  # what is installed is what is tested
    environment.pop("COLUMNS", None)  # which pytest's workers have, so that lines would be cut
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def install(package: Path, site: Path) -> Path:
    """Install a package into a folder as pip does, without a network, and return the folder."""
    copy = shutil.copytree(package, site.parent / f"source_of_{package.name}")  # it is built there
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    done = python(site.parent, "-m", "pip", "install", *options, str(copy))
    assert done.returncode == 0, done.stderr
    return site

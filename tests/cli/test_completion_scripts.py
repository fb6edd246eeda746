"""The completion functions in real shells: what a tab adds to the line."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from detkit.cli.completion import script
from detkit.errors import UserError

ROOT = Path(__file__).parents[2]
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
# Answers as detkit does; called otherwise, it writes down the words that the shell passed.
PROGRAM = f"""#!/bin/sh
if [ "$1" = -sc ]; then
    {sys.executable} -m detkit.cli.main "$@"
    touch ../answered
else
    printf '%s\\n' "$@" > ../words.part && mv ../words.part ../words
fi
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A home folder with a program `detkit`, and a working folder with files to complete."""
    program = tmp_path / "bin" / "detkit"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    (tmp_path / "work" / "photos").mkdir(parents=True)
    return tmp_path


def wait_for(file: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < end, f"{file.name} did not appear"
        time.sleep(0.05)


def discard_output(terminal: int, seconds: float) -> None:
    """Read what a shell draws, so that it never waits for a reader."""
    end = time.monotonic() + seconds
    while (remaining := end - time.monotonic()) > 0:
        if select.select([terminal], [], [], remaining)[0]:
            os.read(terminal, 4096)


def take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def words_after_tab(shell: str, typed: str, folder: Path) -> list[str]:
    """The words that the shell passes to detkit after a line, a tab and Enter."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (folder / "completion").write_text(script(shell))
    environment = {
        **{"HOME": str(folder), "TERM": "dumb", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
    }
    terminal, line = pty.openpty()
    streams = {"stdin": line, "stdout": line, "stderr": line}
    process = subprocess.Popen(
        SHELLS[shell],
        cwd=folder / "work",
        env=environment,
        start_new_session=True,
        preexec_fn=take_terminal,  # noqa: PLW1509  # fish wants a terminal of its own
        **streams,
    )
    try:
        os.write(terminal, b". ../completion; touch ../ready\n")
        for file, text in (("ready", f"detkit {typed}\t"), ("answered", "\n"), ("words", "")):
            wait_for(folder / file)
            discard_output(terminal, 0.3)
            os.write(terminal, text.encode())
        return (folder / "words").read_text().splitlines()
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
        os.close(line)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_value_is_completed(shell, folder):
    words = words_after_tab(shell, "train model=retina", folder)
    assert words == ["train", "model=retinanet"]


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("tra", ["train"]),
        ("train model.head.box_loss=gi", ["train", "model.head.box_loss=giou"]),
        ("train model=fcos model/ne", ["train", "model=fcos", "model/neck"]),
        ("predict source=pho", ["predict", "source=photos"]),
        ("data check pho", ["data", "check", "photos"]),
    ],
)
def test_commands_keys_values_and_files_are_completed(shell, typed, words, folder):
    answer = words_after_tab(shell, typed, folder)
    assert [word.removesuffix("/") for word in answer] == words  # zsh takes back a last slash


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_no_syntax_error(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "completion"
    file.write_text(script(shell))
    subprocess.run([shell, "-n", str(file)], check=True)


def test_an_unknown_shell_is_one_error():
    with pytest.raises(UserError, match="install=fsh: detkit completes for bash, fish and zsh"):
        script("fsh")

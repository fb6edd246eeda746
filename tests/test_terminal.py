"""Messages do not break the status line."""

import io
import logging
import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from tqdm import tqdm

from detkit.terminal import (
    CLEAR,
    GuardedStream,
    StatusLine,
    TerminalHandler,
    columns,
    leave_status_line_whole,
)


class Terminal(io.StringIO):
    """Collects what is written, as a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal():
    """Stands for both streams; `with shown(terminal)`, as pytest replaces them before a test."""
    return Terminal()


@contextmanager
def shown(terminal):
    with redirect_stdout(terminal), redirect_stderr(terminal):
        status = StatusLine(terminal)
        status.open()
        status.show("epoch 1")
        yield status
        status.close()


def screen(stream):
    """The lines that a terminal shows."""
    rows = stream.getvalue().split("\n")
    return [row.split(CLEAR)[-1].split("\r")[-1] for row in rows]


@pytest.mark.parametrize(
    "write",
    [
        lambda: print("hello"),
        lambda: print("hello", file=sys.stderr),
        lambda: tqdm.write("hello"),
        lambda: logging.getLogger("test.terminal").warning("hello"),
    ],
    ids=["stdout", "stderr", "tqdm", "logging"],
)
def test_a_message_scrolls_above_the_line(write, terminal, monkeypatch):
    logger = logging.getLogger("test.terminal")
    monkeypatch.setattr(logger, "handlers", [TerminalHandler()])
    with shown(terminal):
        write()
        assert screen(terminal) == ["hello", "epoch 1"]


def test_a_handler_of_the_old_stream_is_redirected_and_given_back(terminal, monkeypatch):
    logger, handler = logging.getLogger("test.terminal"), logging.StreamHandler(terminal)
    monkeypatch.setattr(logger, "handlers", [handler])
    with shown(terminal):
        logger.warning("hello")
        assert screen(terminal) == ["hello", "epoch 1"]
    assert handler.stream is terminal
    assert screen(terminal) == ["hello", ""]


def test_a_message_without_an_end_keeps_the_line_away(terminal):
    with shown(terminal) as line:
        print("(Pdb) ", end="", flush=True)
        line.show("epoch 2")
        assert screen(terminal) == ["(Pdb) "]
        print("answer")
        assert screen(terminal) == ["(Pdb) answer", "epoch 2"]


def test_the_line_is_cut_to_the_terminal(terminal, monkeypatch):
    monkeypatch.setattr("detkit.terminal.columns", lambda stream: 10)
    StatusLine(terminal).show("0123456789")
    assert screen(terminal) == ["012345678"]
    assert columns(io.StringIO()) == 80


def test_a_forked_worker_erases_the_line_before_its_message(terminal, monkeypatch):
    with shown(terminal):
        monkeypatch.setattr(os, "getpid", lambda: 0)
        print("from a worker")
        assert screen(terminal) == ["from a worker", ""]


def test_a_rank_or_worker_erases_the_line_of_another_process(terminal, monkeypatch):
    terminal.write("epoch 1")
    logger, handler = logging.getLogger("test.terminal"), logging.StreamHandler(terminal)
    monkeypatch.setattr(logger, "handlers", [handler])
    with redirect_stdout(terminal), redirect_stderr(terminal):
        leave_status_line_whole()
        print("hello", file=sys.stderr)
        assert isinstance(sys.stderr, GuardedStream)
    terminal.write("epoch 1")
    logger.warning("logged")
    assert screen(terminal) == ["hello", "logged", ""]


def test_a_worker_writes_whole_lines(terminal):
    stream = GuardedStream(terminal, None)
    stream.write("half a line")
    assert terminal.getvalue() == ""
    stream.write(" and the rest\nanother")
    assert terminal.getvalue() == f"{CLEAR}half a line and the rest\n"
    stream.flush()
    assert screen(terminal) == ["half a line and the rest", "another"]


# pain 54
def test_a_closed_terminal_does_not_stop_the_training():
    class Gone(Terminal):
        def write(self, text):
            raise OSError("gone")

    StatusLine(Gone()).show("epoch 1")


def test_nothing_is_replaced_outside_a_terminal(monkeypatch):
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stderr", plain)
    StatusLine(plain).open()
    assert sys.stderr is plain

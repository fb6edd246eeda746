"""A closed terminal or pipe ends no command."""

import errno
import io
import os
import sys

import pytest

from detkit.lasting_output import lasting_output


# pain 46
def test_printing_continues_without_a_reader(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_output():
            print("nobody reads this", flush=True)
            print("nor this", flush=True)
        assert sys.stdout is stream
        print("the descriptor is usable afterwards, too", flush=True)


def test_other_failures_are_raised(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(sys, "stdout", Full())
    with lasting_output(), pytest.raises(OSError, match="no space"):
        print("text")


def test_text_and_attributes_reach_the_stream(capsys):
    with lasting_output():
        print("text")
        assert sys.stdout.isatty() is False
    assert capsys.readouterr().out == "text\n"

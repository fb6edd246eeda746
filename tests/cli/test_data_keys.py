"""Messages of `detkit data` name the keys that its commands take."""

import re
from pathlib import Path

import pytest

from detkit.cli.data_keys import own_keys
from detkit.cli.main import main

READERS = Path(__file__).parents[2] / "detkit" / "data"


@pytest.mark.parametrize(
    ("verb", "text", "shown"),
    [
        ("check", "name it in data.reader.", "name it in reader."),
        ("stats", "set data.reader.images to x", "set reader.images to x"),
        ("anchors", "data.path=X is a file", "path=X is a file"),
        ("check", "Set data.train_split and data.validation_split to", "Set splits to"),
        ("check", "data.validation_split=x", "splits=x"),
        ("check", "set data.validation_split=null to", "train with data.validation_split=null to"),
        ("convert", "set data.path to it, data.train_split=x", "set SOURCE to it, split=x"),
        ("show", "set data.reader", "set data.reader"),
        ("check", "/home/data.path/x, my.data.reader", "/home/data.path/x, my.data.reader"),
    ],
)
def test_keys_of_training_become_keys_of_the_command(verb, text, shown):
    assert own_keys(text, verb) == shown


def test_every_key_that_readers_name_has_a_counterpart():
    words = r"(?<![\\w.])data\\.(reader|path|\\w*split)\\b(?! import|=null)"
    for file in sorted((READERS / "readers").glob("*.py")):
        for line in file.read_text().splitlines():
            if '"' in line and "import" not in line:
                assert not re.search(words, own_keys(line)), f"{file.name}: {line}"


@pytest.mark.parametrize("verb", ["check", "stats", "anchors", "convert"])
def test_errors_name_the_keys_of_the_command(tmp_path, capsys, verb):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text("x")
    words = [str(tmp_path / "set"), *(["out", "format=voc"] if verb == "convert" else [])]
    assert main(["data", verb, *words]) == 2
    error = capsys.readouterr().err
    assert "the format in reader." in error
    assert "data.reader" not in error
    assert "data.path" not in error

"""`detkit evaluate ckpt=RUN postprocess=A,B`: the table and the words to copy."""

import json

import pytest
from tiny_run import GUESSES

from detkit.cli.main import main


def test_the_table_marks_the_own_choice_and_names_the_words(work, capsys):
    words = ["postprocess=nms,matrix_nms", "iou_threshold=.2,.5", "output=compared", *GUESSES]
    assert main(["evaluate", "ckpt=first", *words]) == 0
    printed = capsys.readouterr()
    rows = [line.split() for line in printed.out.splitlines()]
    assert ["*", "nms", "iou_threshold=0.6"] in [row[:3] for row in rows]
    assert "matrix_nms has no iou_threshold; it has method, sigma" in printed.err
    assert "candidates recorded before model.head.postprocess (score_threshold=0" in printed.err
    content = json.loads((work / "compared/postprocess.json").read_text())
    assert [row["is_own"] for row in content].count(True) == 1
    assert any(row["overrides"][:1] == ["model.head.postprocess=matrix_nms"] for row in content)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["postprocess="], "postprocess=: names no value; separate several with commas"),
        (["postprocess=nms", "iou_threshold=x"], "iou_threshold=x: expected float 0..1 for nms"),
        (["postprocess=nms", "intervals=true"], "leave out intervals, then measure"),
        (["postprocess=nms", "ckpt=[first,first]"], "post-processors of one run, got 2: name one"),
    ],
)
def test_wrong_words_are_explained(work, capsys, words, message):
    assert main(["evaluate", "ckpt=first", *words]) == 2
    assert message in capsys.readouterr().err


def test_an_exported_file_cannot_be_compared(tmp_path, capsys):
    from exported_files import write_onnx

    file = write_onnx(tmp_path / "a.onnx")
    assert main(["evaluate", f"ckpt={file}", "postprocess=nms"]) == 2
    assert "holds its post-processing, which was fixed by" in capsys.readouterr().err

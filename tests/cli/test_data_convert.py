import logging

import pytest

from detkit.cli.data_convert import run
from detkit.errors import UserError


def test_the_output_of_a_conversion(voc_set, tmp_path_factory, capsys, caplog):
    target = tmp_path_factory.mktemp("out") / "yolo"
    assert run([str(voc_set), str(target), "format=yolo"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines() == [
        f"voc -> yolo: {target}",
        "",
        "  split        images    objects",
        "  train             1          1",
        "",
        "images: 1 linked to the source's files (hard links, which take no space)",
        "left out because unusable:",
        "  1 box (no area): JPEGImages/a.jpg (object 2)",
        "lost in yolo:",
        "  1 difficult object left out: YOLO has no mark for it "
        "(ignored=keep writes them like any other)",
        "  data.yaml has no `val`, which Ultralytics requires: convert with split=train,0.8 to "
        "divide the images",
    ]
    assert caplog.messages == []  # the report says it
    assert logging.getLogger("detkit.data").level == logging.NOTSET


def test_ignored_objects_and_copies_can_be_asked_for(voc_set, tmp_path_factory, capsys):
    target = tmp_path_factory.mktemp("out") / "yolo"
    run([str(voc_set), str(target), "format=yolo", "ignored=keep", "copy=none", "split=train"])
    text = capsys.readouterr().out
    assert "  train             1          2" in text
    assert "images: none (copy=none); put them into images/" in text


@pytest.mark.parametrize(("words", "message"), [
    (["a"], r"takes two folders, SOURCE and TARGET, and format=coco\|voc\|yolo; got a"),
    (["a", "b", "c", "format=voc"], r"got a, b, c"),
    (["a", "b"], r"format=... says what to write"),
    (["a", "b", "formt=voc"], r"has no option 'formt'. Did you mean 'format'\?"),
    (["a", "b", "format=voc", "ignored=x"], r"ignored=x: expected one of drop, keep"),
    (["a", "b", "format=voc"], r"there is no folder 'a'"),
    (["a", "b", "format=yolo", "split=1.5"], r"split=1.5: expected names of splits"),
    (["a", "b", "format=yolo", "split=0.8,0.1"], r"expected names of splits"),
    (["a", "b", "format=yolo", "split=train,val,0.8"], r"one split and a fraction"),
    (["a", "b", "format=yolo", "split=0.8", "seed=x"], r"seed=x: expected a whole number"),
])  # fmt: skip
def test_words_that_cannot_be_used(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        run(words)


def test_a_share_divides_one_split_and_says_how(voc_set, tmp_path_factory, capsys):
    for stem in "bcd":
        for folder, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
            first = voc_set / folder / f"a.{suffix}"
            (voc_set / folder / f"{stem}.{suffix}").write_bytes(first.read_bytes())
    (voc_set / "ImageSets/Main/train.txt").write_text("a\nb\nc\nd\n")
    target = tmp_path_factory.mktemp("out") / "yolo"
    run([str(voc_set), str(target), "format=yolo", "split=train,0.75", "seed=5"])
    text = capsys.readouterr().out
    assert "  train             3          3" in text
    assert "  val               1          1" in text
    assert text.endswith("split: 0.75 of the images drawn for train with seed=5\n")
    assert (target / "data.yaml").read_text().startswith("train: images/train\nval: images/val\n")


@pytest.fixture
def voc_set(tmp_path):
    """One image with an object, one without area, and a difficult one."""
    from PIL import Image

    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (40, 30)).save(tmp_path / "JPEGImages" / "a.jpg")
    boxes = [(1, 1, 9, 9, 0), (5, 5, 5, 5, 0), (2, 2, 8, 8, 1)]
    objects = "".join(
        f"<object><name>cat</name><difficult>{hard}</difficult><bndbox><xmin>{a}</xmin>"
        f"<ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for a, b, c, d, hard in boxes
    )
    (tmp_path / "Annotations/a.xml").write_text(f"<annotation>{objects}</annotation>")
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\n")
    return tmp_path

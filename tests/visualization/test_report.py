import json
import math
from html.parser import HTMLParser

import pytest
from PIL import Image

from detkit.visualization.report import write_report

NUMBERS = {
    **{"AP": 0.5, "AP50": 0.75, "AP75": math.nan, "AP_small": 0.1, "AR1": 0.2, "AR100": 0.3},
    **{"AP/cat": 0.25, "AP50/cat": 0.625, "AP/<dog>": math.nan, "AP50/<dog>": math.nan},
}
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Text, pictures and whether each element is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.images, self.links = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        attributes = dict(attrs)
        if tag == "img":
            self.images.append(attributes)
        self.links += [value for key, value in attrs if key in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures" / "epoch_001").mkdir(parents=True)
    for name in ("curves.png", "pictures/01.jpg", "pictures/02.jpg", "pictures/overview.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    (tmp_path / "config.yaml").write_text("seed: 0 # <script>&</script>\n")
    environment = {"versions": {"torch": "2.9"}, "seed": 3, "command": ["detkit", "train"]}
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    return tmp_path


def page(folder, numbers=NUMBERS, names=("cat", "<dog>"), title="a <b> & c"):
    path = write_report(
        folder,
        title=title,
        numbers=numbers,
        class_names=names,
        meanings={"AR100": "recall with <100"},
    )
    assert path == folder / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def test_everything_is_closed_and_nothing_is_outside(folder):
    report = page(folder)
    assert report.open == []
    assert all(link.startswith("data:image/") for link in report.links)


def test_it_shows_what_the_run_wrote(folder):
    report = page(folder)
    text = " ".join(report.texts)
    for shown in (
        "0.500",
        "0.750",
        "cat",
        "0.625",
        "torch",
        "2.9",
        "detkit train",
        "recall with <100",
    ):
        assert shown in text
    assert [image["alt"] for image in report.images] == ["losses and AP over the steps", "01", "02"]


def test_text_of_the_user_is_escaped(folder):
    report = page(folder)
    assert "a <b> & c" in report.texts
    assert "<dog>" in report.texts
    assert "seed: 0 # <script>&</script>\n" in report.texts
    assert "script" not in report.open


def test_nan_is_a_dash(folder):
    assert "nan" not in (folder / "report.html").name
    text = " ".join(page(folder).texts)
    assert "nan" not in text
    assert "–" in text  # noqa: RUF001


def test_an_empty_folder_gives_a_page(tmp_path):
    report = page(tmp_path, numbers={}, names=())
    assert report.open == []
    assert report.images == []
    assert "Curves" not in report.texts


def test_a_broken_environment_is_left_out(folder):
    (folder / "environment.json").write_text("{")
    assert "Environment" not in page(folder).texts


def test_it_follows_bright_and_dark_and_narrow_screens(folder):
    page(folder)
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text

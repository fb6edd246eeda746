import pytest
from PIL import Image

from detkit.visualization.plots import plot_curves, read_curves, smoothed

ROWS = """step,epoch,loss,loss/box,val/AP,val/AP/cat,learning_rate
0,0,2.5,1.5,,,0.1
10,0,1.5,nan,,,0.1
19,0,,,0.25,0.5,
20,1,inf,1.0,,x,0.05
"""


@pytest.fixture
def metrics(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text(ROWS)
    return file


def test_only_finite_numbers_are_read(metrics):
    assert read_curves(metrics) == {
        "loss": ([0, 10], [2.5, 1.5]),
        "loss/box": ([0, 20], [1.5, 1.0]),
        "val/AP": ([19], [0.25]),
        "val/AP/cat": ([19], [0.5]),
        "learning_rate": ([0, 10, 20], [0.1, 0.1, 0.05]),
    }


def test_lines_that_were_cut_short_or_are_too_long_are_read(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("step,loss,val/AP\n0,1\n1,2,0.5,7,8\n2,3,0.")
    assert read_curves(file) == {
        "loss": ([0, 1, 2], [1, 2, 3]),
        "val/AP": ([1, 2], [0.5, 0]),
    }


def test_without_a_step_rows_are_counted(tmp_path):
    file = tmp_path / "metrics.csv"
    file.write_text("loss\n3\n2\n")
    assert read_curves(file) == {"loss": ([0, 1], [3, 2])}


def test_the_picture_is_written(metrics, tmp_path):
    picture = tmp_path / "new" / "curves.png"
    assert plot_curves(metrics, picture) == picture
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert image.width == 1440  # four panels in two columns
        assert len(image.convert("RGB").getcolors(1 << 24)) > 10


def test_one_curve_is_one_panel(tmp_path):
    (tmp_path / "m.csv").write_text("step,val/AP\n5,0\n")
    plot_curves(tmp_path / "m.csv", tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        assert image.size == (720, 432)


@pytest.mark.parametrize("text", [None, "", "step,loss\n", "step,loss\n0,nan\n"])
def test_without_numbers_there_is_no_picture(tmp_path, text):
    if text is not None:
        (tmp_path / "m.csv").write_text(text)
    assert plot_curves(tmp_path / "m.csv", tmp_path / "c.png") is None
    assert not (tmp_path / "c.png").exists()


def test_the_same_numbers_give_the_same_file(tmp_path):
    (tmp_path / "m.csv").write_text("step,val/AP\n0,0.1\n5,0.2\n")
    first, second = (plot_curves(tmp_path / "m.csv", tmp_path / f"{i}.png") for i in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_few_values_are_not_smoothed():
    assert smoothed([3, 1, 2]) == [3, 1, 2]
    assert smoothed([]) == []


def test_smoothing_by_hand():
    values = [0.0] * 20 + [3.0] + [0.0] * 19  # 40 values, reach 1
    average = smoothed(values)
    assert average[19:22] == pytest.approx([1, 1, 1])
    assert sum(average[:19] + average[22:]) == pytest.approx(0)
    assert smoothed([3.0] + [0.0] * 39)[0] == pytest.approx(1.5)

"""A prediction that was stopped continues with the same command, to the same bytes."""

import errno
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from exported_files import write_onnx
from PIL import Image

from detkit.cli.main import main
from detkit.inference.earlier_prediction import JOURNAL
from detkit.inference.prediction_output import PredictionOutput

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

IMAGES = 7
WORDS = [
    *("predict", "ckpt=model.onnx", "source=data", "output=out", "batch_size=2"),
    "format=[coco,yolo]",  # pictures take a long time
]
ADD = PredictionOutput.add


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with model.onnx, and grey images and one broken file in `data`."""
    monkeypatch.chdir(tmp_path)
    write_onnx(tmp_path / "model.onnx")
    (tmp_path / "data").mkdir()
    for number in range(IMAGES):
        grey = 250 - 30 * number  # the darkest have one detection or none
        Image.new("RGB", (12, 16), (grey, grey, grey)).save(tmp_path / f"data/{number}.png")
    (tmp_path / "data/2.png").write_bytes(b"no image")
    return tmp_path


def content(name):
    """The bytes of all files of an output folder."""
    return {
        path.relative_to(name).as_posix(): path.read_bytes()
        for path in Path(name).rglob("*")
        if path.is_file() and path.name != "prediction.json"
    }


def stop_after(monkeypatch, count, error=KeyboardInterrupt, *, written=False):
    """Stop the next prediction at an image: before, or after its files are written."""
    images = iter(range(count))

    def add(output, image):
        if next(images, None) is None:
            if written:
                ADD(output, image)
            raise error
        ADD(output, image)

    monkeypatch.setattr(PredictionOutput, "add", add)


def interrupt(monkeypatch, count, *words, **options):
    with monkeypatch.context() as patch:
        stop_after(patch, count, **options)
        return main([*WORDS, *words])


# pain 118
@pytest.mark.parametrize(("count", "written"), [(1, True), (3, False), (5, True)])
def test_two_parts_give_the_bytes_of_one(folder, monkeypatch, capsys, count, written):
    words = ["format=[yolo,crops,coco,csv]"]
    assert main([*WORDS, *words, "output=whole"]) == 0
    assert interrupt(monkeypatch, count, *words, written=written) == 130
    assert (folder / "out" / JOURNAL).exists()
    assert "of 7 images done; the same command continues" in capsys.readouterr().err
    assert main([*WORDS, *words]) == 0
    assert content("out") == content("whole")
    assert "6 images, 1 skipped: out" in capsys.readouterr().out


# pain 118
def test_images_that_are_done_are_not_predicted_again(folder, monkeypatch, capsys):
    interrupt(monkeypatch, 4)  # 0, 1, 3 and 4: with the broken file five are done
    capsys.readouterr()
    seen = []
    monkeypatch.setattr(
        PredictionOutput, "add", lambda output, image: seen.append(image) or ADD(output, image)
    )
    assert main(WORDS) == 0
    assert [image.record.name for image in seen] == ["4", "5", "6"]  # whole batches
    said = capsys.readouterr().err
    assert "continues an unfinished prediction (resume=false starts over): 4 of 7 images" in said


# pain 118
def test_a_torn_last_line_is_dropped(folder, monkeypatch):
    main([*WORDS, "output=whole"])
    interrupt(monkeypatch, 4)
    journal = folder / "out" / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-9])
    assert main(WORDS) == 0
    assert content("out") == content("whole")


@pytest.mark.parametrize(
    ("word", "difference"),
    [
        ("score_threshold=0.5", "score_threshold: 0.1 -> 0.5"),
        ("classes=[dog]", 'classes: null -> ["dog"]'),
        ("format=coco", 'format: ["coco", "yolo"] -> ["coco"]'),
        ("source=data/[0-5]*", "source.images: 7 -> 6; source.sha256: "),
        ("ckpt=other.onnx", "checkpoint: "),
    ],
)
# pain 118
def test_other_settings_are_refused(folder, monkeypatch, capsys, word, difference):
    write_onnx(folder / "other.onnx", opset=19)
    interrupt(monkeypatch, 4)
    before = content("out")
    assert main([*WORDS, word]) == 2
    said = capsys.readouterr().err
    assert "out: holds an unfinished prediction (5 images) with other settings: " in said
    assert difference in said
    assert content("out") == before


def test_resume_false_starts_over(folder, monkeypatch):
    main([*WORDS, "output=whole", "score_threshold=0.5"])
    interrupt(monkeypatch, 4)
    assert main([*WORDS, "resume=false", "score_threshold=0.5"]) == 0
    assert content("out") == content("whole")


def test_resume_true_does_nothing_after_the_end(folder, capsys):
    main(WORDS)
    before = content("out")
    capsys.readouterr()
    (folder / "data/0.png").write_bytes(b"gone")
    assert main([*WORDS, "resume=true"]) == 0
    assert capsys.readouterr().out.endswith("6 images, 1 skipped: out (finished earlier)\n")
    assert content("out") == before


def test_resume_true_after_the_end_needs_the_same_settings(folder, capsys):
    main(WORDS)
    assert main([*WORDS, "resume=true", "score_threshold=0.9"]) == 0
    assert "(finished earlier)" not in capsys.readouterr().out.splitlines()[-1]


# pain 118
@pytest.mark.parametrize("method", ["write_bytes", "open"])
def test_a_full_disk_loses_nothing(folder, monkeypatch, capsys, method):
    main([*WORDS, "output=whole"])
    original = getattr(Path, method)

    def full(path, *arguments, **keywords):
        if path.name in ("4.txt", "detections.json.part"):
            original(path, *(() if method == "write_bytes" else ("w",)), *arguments[:1])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return original(path, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, full)
        assert main(WORDS) == 2
    said = capsys.readouterr().err
    assert "cannot be written (No space left on device)" in said
    assert "make room, and give the same command again" in said
    assert main(WORDS) == 0
    assert content("out") == content("whole")


# pain 118
def test_two_predictions_at_once_are_refused(folder, monkeypatch, capsys):
    def start_another(output, image):
        with monkeypatch.context() as patch:
            patch.setattr(PredictionOutput, "add", ADD)
            assert main(WORDS) == 2
        ADD(output, image)

    monkeypatch.setattr(PredictionOutput, "add", start_another)
    assert main(WORDS) == 0
    assert "another process is writing a prediction" in capsys.readouterr().err


# pain 118
@pytest.mark.slow
def test_a_disk_that_is_really_full_loses_nothing(folder, capsys):
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        main([*WORDS, "output=whole"])
        capsys.readouterr()
        assert main([*WORDS, "output=disk"]) == 2
        assert "cannot be written (No space left on device)" in capsys.readouterr().err
        subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
        assert main([*WORDS, "output=disk"]) == 0
        assert "continues an unfinished prediction" in capsys.readouterr().err
        assert content("disk") == content("whole")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# pain 118
def test_recent_files_that_are_incomplete_are_written_again(folder, monkeypatch):
    main([*WORDS, "output=whole"])
    interrupt(monkeypatch, 5)
    (folder / "out/labels/1.txt").write_text("")  # as a power failure leaves it
    assert main(WORDS) == 0
    assert content("out") == content("whole")


def test_the_output_folder_may_be_inside_the_source(folder, monkeypatch):
    words = [*WORDS, "source=data", "output=data/out", "format=crops"]
    interrupt(monkeypatch, 4, *words)
    assert main(words) == main(words) == 0
    names = {path.name.split("-")[0] for path in (folder / "data/out/crops").rglob("*.png")}
    assert names == set("013456")


# pain 118
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_killed_process_is_continued(folder, number, code):
    """With pictures, so that most kills come while one is written."""
    for index in range(IMAGES, 60):
        Image.new("RGB", (12, 16), (4 * index, 200, 200)).save(folder / f"data/{index}.png")
    words = [*WORDS, "format=[pictures,coco]"]
    assert main([*words, "output=whole"]) == 0
    command = [sys.executable, "-m", "detkit.cli.main", *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        journal = folder / "out" / JOURNAL
        while process.poll() is None and (not journal.exists() or done(journal) < 20):
            time.sleep(0.002)
        process.send_signal(number)
    assert process.returncode == code
    assert 20 <= done(journal) < 60
    assert main(words) == 0
    assert content("out") == content("whole")


def done(journal):
    """Images in a journal."""
    return journal.read_bytes().count(b"\n") - 1

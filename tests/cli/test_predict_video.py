"""`detkit predict` on videos and lists, with an exported file whose detections are known."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from clips import frame_of, read_clip, write_clip
from exported_files import write_onnx
from PIL import Image

from detkit.api.exported_backend import ExportedBackend
from detkit.cli import predict_inputs, predict_video
from detkit.cli.main import main
from detkit.errors import UserError
from detkit.video.encoder import VideoEncoder
from detkit.video.reader import VideoReader

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_onnx(folder / "model.onnx")
    write_clip(folder / "clip.mp4", 10)
    Image.fromarray(frame_of(9)).save(folder / "photo.png")
    return folder


@pytest.fixture
def folder(files, tmp_path, monkeypatch):
    """A working directory with model.onnx, clip.mp4 and photo.png."""
    for file in files.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*words):
    return main(["predict", "ckpt=model.onnx", "output=out", *words])


def lines(name="clip"):
    return [json.loads(line) for line in Path(f"out/{name}.frames.jsonl").read_text().splitlines()]


def written():
    return sorted(path.name for path in Path("out").iterdir())


def test_a_video_gives_a_video_and_a_line_per_frame(folder, capsys):
    assert predict("source=clip.mp4", "score_threshold=0.05") == 0
    assert written() == ["clip.frames.jsonl", "clip.mp4"]
    rows = lines()
    assert [(row["frame"], row["time"]) for row in rows] == [(n, n / 25) for n in range(10)]
    cat, dog = rows[9]["detections"]
    assert (cat["name"], cat["category_id"], cat["bbox"]) == ("cat", 7, [0, 0, 48, 32])
    assert cat["score"] == pytest.approx(2 * dog["score"])
    np.testing.assert_allclose([time for time, _ in read_clip("out/clip.mp4")], np.arange(10) / 25)
    assert "clip.mp4: 19 detections in 10 frames (" in capsys.readouterr().out


def test_boxes_are_drawn_into_the_video(folder):
    predict("source=clip.mp4", "every=5")
    _, drawn = read_clip("out/clip.mp4")[1]
    enlarged = np.asarray(Image.fromarray(frame_of(5)).resize(drawn.shape[1::-1]))
    difference = np.abs(drawn.astype(int) - enlarged).max(2)
    assert difference[:, -3:].mean() > 40  # the border of the box around the whole frame
    assert difference[-60:-20, -60:-20].mean() < 15


def test_frames_are_chosen(folder):
    assert predict("source=clip.mp4", "every=2", "start=0.12", "end=0:00.3", "format=coco") == 0
    assert [row["frame"] for row in lines()] == [3, 5, 7]
    assert written() == ["clip.frames.jsonl"]


def test_classes_are_chosen(folder):
    assert predict("source=clip.mp4", "classes=[dog]", "score_threshold=0", "format=coco") == 0
    assert {d["name"] for row in lines() for d in row["detections"]} == {"dog"}


def test_identities_are_in_the_lines(folder):
    pytest.importorskip("trackers", reason="tracking needs the package trackers")
    words = ["track=sort", "score_threshold=0.03", "format=coco"]
    assert predict("source=clip.mp4", *words) == 0
    assert [d.get("track_id") for d in lines()[1]["detections"]] == [None, None]
    assert sorted(d["track_id"] for d in lines()[9]["detections"]) == [0, 1]


def test_the_mot_format_has_the_identities(folder):
    pytest.importorskip("trackers", reason="tracking needs the package trackers")
    words = ["track=bytetrack", "score_threshold=0.03", "format=mot"]
    assert predict("source=clip.mp4", *words) == 0
    rows = Path("out/clip/mot.txt").read_text().splitlines()
    assert {row.split(",")[1] for row in rows} == {"1", "2"}
    assert rows[-1].split(",")[0] == "10"


def test_images_and_videos_of_a_list(folder, capsys):
    assert predict("source=[photo.png,clip.mp4]") == 0
    names = ["clip.frames.jsonl", "clip.mp4", "detections.json", "photo.png", "prediction.json"]
    assert written() == names
    assert "2 detections in 1 image, 0 skipped" in capsys.readouterr().out


def test_images_before_a_stopped_video_can_be_skipped(folder, monkeypatch, capsys):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("detkit.cli.predict.predict_videos", stopped)
    words = ["ckpt=model.onnx", "output=out", "source=[photo.png,clip.mp4]", "format=coco"]
    assert main(["predict", *words]) == 130
    assert "the images are done: resume=true skips them" in capsys.readouterr().err
    assert main(["predict", *words, "resume=true"]) == 130
    assert "(finished earlier)" in capsys.readouterr().out


def test_a_text_file_lists_sources(folder):
    (folder / "lists").mkdir()
    (folder / "lists/all.txt").write_text("# both\n../photo.png\n\n../clip.mp4\n")
    assert predict("source=lists/all.txt", "format=coco") == 0
    assert {"clip.frames.jsonl", "detections.json"} < set(written())


def test_a_list_may_hold_a_text_file(folder):
    (folder / "more.txt").write_text("photo.png\n")
    assert predict("source=[more.txt,photo.png]", "output=both", "format=coco") == 0
    assert json.loads((folder / "both/prediction.json").read_text())["images"] == 2


def test_a_folder_may_hold_videos(folder, capsys):
    (folder / "data").mkdir()
    shutil.copy("clip.mp4", "data/a.mp4")
    (folder / "data/b.mp4").write_text("no video")
    assert predict("source=data", "format=coco") == 0
    assert written() == ["a.frames.jsonl"]
    assert "skipped: source=data/b.mp4: not a video" in capsys.readouterr().err


def test_a_pattern_may_fit_videos(folder):
    shutil.copy("clip.mp4", "clip-2.mp4")
    assert predict("source=clip*.mp4", "format=coco", "end=0.1") == 0
    assert written() == ["clip-2.frames.jsonl", "clip.frames.jsonl"]


def test_numbered_images_are_a_video(folder):
    (folder / "frames").mkdir()
    for number in range(3):
        Image.fromarray(frame_of(number)).save(folder / f"frames/{number:04d}.png")
    assert predict("source=frames/%04d.png", "every=2", "format=coco") == 0
    assert [row["frame"] for row in lines("frames")] == [0, 2]


def test_other_formats_get_the_frames(folder):
    assert predict("source=clip.mp4", "format=[coco,yolo]", "end=0.08", "score_threshold=0.1") == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["clip", "clip.frames.jsonl"]
    assert any("clip-000001" in path.name for path in Path("out/clip").rglob("*.*"))


def test_an_image_from_the_web(folder, monkeypatch, capsys):
    content = Path("photo.png").read_bytes()
    monkeypatch.setattr(predict_inputs, "image_at", lambda url: content)
    assert predict("source=http://eva:secret@host/a/photo.png?x=1") == 0
    assert "photo.png" in written()
    rows = json.loads(Path("out/detections.json").read_text())
    assert rows[0]["file_name"] == "http://eva:***@host/a/photo.png?x=1"


def test_an_address_in_a_list_may_fail(folder, capsys):
    assert predict("source=[http://127.0.0.1:9/page,photo.png]", "format=coco") == 0
    assert "skipped: source=http://127.0.0.1:9/page: the server refuses" in capsys.readouterr().err


def test_what_is_no_image_is_named_by_its_address(folder, monkeypatch, capsys):
    monkeypatch.setattr(predict_inputs, "image_at", lambda url: b"<html>")
    assert predict("source=http://host/a.png", "format=coco") == 1
    assert "cannot read the image 'http://host/a.png': not an image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["source=none.mp4"], "source=none.mp4: there is no such file"),
        (["source=97"], "source=/dev/video97: there is no such camera; this machine has"),
        (["source=rtsp://127.0.0.1:9/a"], "the server refuses the connection"),
        (["source=http://127.0.0.1:9/a.jpg"], "the server refuses the connection"),
        (["source=http://[::1"], "is not a valid address; expected http://HOST/PATH"),
        (["source=ftp://127.0.0.1/a.jpg"], "detkit cannot open ftp addresses"),
        (["source=photos.txt"], "photos.txt, line 2: source=none.png: there is no such file"),
        (["source=clip.mp4", "output=."], "the folder holds the input 'clip.mp4'"),
        (["source=clip.mp4", "start=9"], "start=9: the video lasts 0.4 s"),
        (["source=clip.mp4", "track=deepsort"], "track=deepsort: expected bytetrack or sort"),
        (["source=clip.mp4", "every=0"], "every=0: expected a whole number above 0"),
        (["source=clip.mp4", "classes=[bird]"], "the detector has no class 'bird'"),
        (["source=photo.png", "every=2"], "every=2: only applies to videos"),
        (["source=[photo.png,'']"], "expected a name, or several as source=[A,B]"),
        (["source=clip.mp4", "format=fiftyone"], "format=fiftyone: refers to image files"),
        (["source=photo.png", "tiling={size: [64]}"], "tiling.size=[64]: expected"),
        (["source=empty.txt"], "source=empty.txt: the list is empty"),
        (["source=clip.mp4", "resume=true"], "resume=true: only applies to images"),
        (["source=clip.mp4", "classes=[]", "format=coco"], "classes=[]: "),
    ],
)
def test_wrong_words_are_one_error(folder, capsys, words, message):
    (folder / "empty.txt").touch()
    (folder / "photos.txt").write_text("photo.png\nnone.png\n")
    assert predict(*words) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]


# pain 126
def test_a_video_that_breaks_off_keeps_its_frames(folder, capsys):
    clip = write_clip(folder / "cut.mp4", 25, options={"movflags": "faststart"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 4 // 5])
    assert predict("source=cut.mp4") == 1
    assert "cut.mp4: ended early (the file breaks off after 0." in capsys.readouterr().err
    assert len(lines("cut")) == len(read_clip("out/cut.mp4")) > 5


# pain 126
def test_ctrl_c_keeps_the_frames(folder, monkeypatch, capsys):
    frames = VideoReader.__iter__

    def interrupted(reader):
        for frame in frames(reader):
            if frame.number == 6:
                raise KeyboardInterrupt
            yield frame

    monkeypatch.setattr(VideoReader, "__iter__", interrupted)
    assert predict("source=clip.mp4") == 130
    assert "6 frames of clip.mp4 done, kept in out/clip.mp4, out/clip" in capsys.readouterr().err
    assert len(lines()) == len(read_clip("out/clip.mp4")) == 6


# pain 126
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("name", ["clip.mp4", "clip.frames.jsonl"])
def test_a_full_disk_is_one_error(folder, name, capsys):
    (folder / "out").mkdir()
    (folder / "out" / name).symlink_to("/dev/full")
    assert predict("source=clip.mp4") == 2
    error = capsys.readouterr().err
    assert f"error: out/{name} cannot be written (No space left on device)" in error
    assert error.count("error: ") == 1


def test_sound_is_mentioned(folder, capsys):
    write_clip(folder / "loud.mp4", 2, audio=True)
    predict("source=loud.mp4")
    assert "loud.mp4: the sound is not kept" in capsys.readouterr().err


def test_decoding_and_prediction_go_on_while_a_frame_is_encoded(folder, monkeypatch):
    frames, predicted, add = VideoReader.__iter__, ExportedBackend.predict, VideoEncoder.add
    decoded, detected, waits = Countdown(4), Countdown(3), []

    def encode(encoder, pixels, time):
        waits.append(decoded.reached.wait(5) and detected.reached.wait(5))
        add(encoder, pixels, time)

    monkeypatch.setattr(VideoReader, "__iter__", lambda self: map(decoded.count, frames(self)))
    monkeypatch.setattr(
        ExportedBackend, "predict", lambda self, batch: detected.count(predicted(self, batch))
    )
    monkeypatch.setattr(VideoEncoder, "add", encode)
    assert predict("source=clip.mp4") == 0
    assert waits == [True] * 10


class Countdown:
    """Passes values on; `reached` is set after some of them."""

    def __init__(self, number):
        self.reached, self._left = threading.Event(), number

    def count(self, value):
        self._left -= 1
        if self._left == 0:
            self.reached.set()
        return value


# pain 126
@pytest.mark.slow
def test_a_killed_command_keeps_its_frames(folder):
    write_clip(folder / "long.mp4", pictures=[frame_of(3)] * 2000)
    environment = {**os.environ, "PYTHONPATH": str(Path(predict_video.__file__).parents[2])}
    words = ["predict", "ckpt=model.onnx", "source=long.mp4", "output=out"]
    process = subprocess.Popen([sys.executable, "-m", "detkit", *words], env=environment)
    while not Path("out/long.frames.jsonl").exists() or len(lines_so_far()) < 200:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert len(read_clip("out/long.mp4")) > 100


def lines_so_far():
    return Path("out/long.frames.jsonl").read_text().splitlines()


@pytest.mark.slow
def test_a_run_takes_videos_too(work, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", 10)
    output = f"output={tmp_path}/out"
    words = ["predict", "ckpt=first", output, "start=0:00.2", "every=2", "score_threshold=0"]
    assert main([*words, f"source=[{clip}]"]) == 0
    assert len(read_clip(tmp_path / "out/clip.mp4")) == 3


@pytest.mark.slow
@pytest.mark.parametrize("value", ["97", "http://127.0.0.1:9/a.jpg?key=1&b=[2]"])
def test_a_run_takes_cameras_and_addresses(work, tmp_path, capsys, value):
    assert main(["predict", "ckpt=first", f"source={value}", f"output={tmp_path}"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(("error: source=/dev/video97: ", f"error: source={value}: "))


def test_an_empty_source_is_not_the_working_directory(folder):
    with pytest.raises(UserError, match="source=: is empty"):
        predict_inputs.find_inputs("")

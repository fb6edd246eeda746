"""Files that are no whole videos: one clear error each, or the frames that can be read."""

import errno
import sys

import pytest
from clips import av, write_clip, write_sound

from detkit.errors import UserError
from detkit.video import failures
from detkit.video.locations import Kind, Location
from detkit.video.reader import VideoReader
from detkit.video.times import Selection

CAMERA = Location("/dev/video7", Kind.CAMERA)


def open_file(path):
    return VideoReader(Location(str(path), Kind.FILE), Selection())


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"source=.*none\.mp4: there is no such file"):
        open_file(tmp_path / "none.mp4")


def test_an_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(UserError, match=r"empty\.mp4: the file is empty"):
        open_file(tmp_path / "empty.mp4")


def test_text_renamed_to_mp4(tmp_path):
    (tmp_path / "text.mp4").write_text("a letter\n" * 200)
    with pytest.raises(UserError, match="not a video that FFmpeg can open"):
        open_file(tmp_path / "text.mp4")


def test_a_file_cut_before_its_index(tmp_path):
    with pytest.raises(UserError, match="the file is cut short, damaged, or no video"):
        open_file(cut(write_clip(tmp_path / "clip.mp4"), 0.5))


def test_sound_without_pictures(tmp_path):
    with pytest.raises(UserError, match=r"sound\.mp4: contains only audio; expected a video"):
        open_file(write_sound(tmp_path / "sound.mp4"))


def test_a_codec_that_is_unknown(tmp_path):
    path = write_clip(tmp_path / "clip.avi", 1)
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"ZZZZ"))
    with pytest.raises(UserError, match="a codec that PyAV's FFmpeg cannot decode"):
        open_file(path)


def test_a_file_that_breaks_off_gives_its_frames_and_the_reason(tmp_path):
    path = cut(write_clip(tmp_path / "clip.mp4", 25, options={"movflags": "faststart"}), 0.8)
    with open_file(path) as reader:
        frames = list(reader)
    assert 5 < len(frames) < 25
    assert reader.cut_short.startswith("the file breaks off after 0.")


def test_a_whole_file_is_not_said_to_break_off(tmp_path):
    for name in ("clip.mp4", "clip.mkv", "clip.avi"):
        with open_file(write_clip(tmp_path / name)) as reader:
            assert len(list(reader)) == 10
        assert reader.cut_short == ""


def test_damaged_frames_are_left_out_and_counted(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "clip.mp4")
    with open_file(path) as reader:
        packets = list(reader._container.demux(reader._stream))
        broken = [Broken() if 3 <= n < 5 else packet for n, packet in enumerate(packets)]
        monkeypatch.setattr(reader, "_container", Demuxed(reader._container, broken))
        assert len(list(reader)) == 8
        assert reader.damaged == 2


def test_a_video_of_damaged_frames_alone(tmp_path, monkeypatch):
    with open_file(write_clip(tmp_path / "clip.mp4")) as reader:
        monkeypatch.setattr(reader, "_container", Demuxed(reader._container, [Broken()] * 3))
        with pytest.raises(UserError, match="none of its 3 frames can be decoded"):
            list(reader)


def test_an_error_in_the_middle_ends_the_stream(tmp_path, monkeypatch):
    with open_file(write_clip(tmp_path / "clip.mp4")) as reader:
        packets = list(reader._container.demux(reader._stream))[:4]
        monkeypatch.setattr(reader, "_container", Demuxed(reader._container, packets, fails=True))
        assert len(list(reader)) == 4
    assert reader.cut_short == "Connection reset by peer"


def test_a_missing_camera_names_those_there_are():
    text = str(failures.cannot_open(CAMERA, FileNotFoundError(2, "No such file")))
    assert text.startswith("source=/dev/video7: there is no such camera; this machine has ")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EBUSY, "Device or resource busy"), "the camera is busy: close the program"),
        (PermissionError(13, "Permission denied"), "you may not use the camera: join the group"),
        (OSError(errno.EIO, "Input/output error"), "cannot be opened (Input/output error)"),
    ],
)
def test_a_camera_that_cannot_be_used(error, reason):
    camera = Location("/dev/null", Kind.CAMERA)  # a device that exists
    assert reason in str(failures.cannot_open(camera, error))


def test_no_camera_here_is_one_error():
    with pytest.raises(UserError, match="there is no such camera"):
        VideoReader(Location("/dev/video99", Kind.CAMERA), Selection())


def test_without_pyav_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r'pip install "detkit\[video\]"'):
        open_file("clip.mp4")


class Broken:
    """A packet that cannot be decoded."""

    size = 1

    def decode(self):
        raise av.error.InvalidDataError(1, "Invalid data")


class Demuxed:
    """A container that gives these packets, and then may fail."""

    def __init__(self, container, packets, *, fails=False):
        self.close, self._packets, self._fails = container.close, packets, fails

    def demux(self, stream):
        yield from self._packets
        if self._fails:
            raise av.error.ConnectionResetError(104, "Connection reset by peer")

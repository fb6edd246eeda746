"""Videos that are written frame by frame."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import av, frame_of, grey, read_clip

from detkit.errors import UserError
from detkit.video import encoder
from detkit.video.encoder import VideoEncoder

KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from detkit.video.encoder import VideoEncoder
video = VideoEncoder(Path(sys.argv[1]), 25.0)
for number in range(500):
    video.add(np.full((32, 48, 3), number % 200, np.uint8), number / 25)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=["libx264", "mpeg4"])
def codec(request, monkeypatch):
    if request.param not in av.codecs_available:
        pytest.skip(f"this PyAV has no {request.param}")
    monkeypatch.setattr(encoder, "_CODECS", {request.param: encoder._CODECS[request.param]})
    return request.param


def write(path, times, size=(32, 48)):
    video = VideoEncoder(path, 25.0)
    for number, time in enumerate(times):
        video.add(frame_of(number, size), time)
    video.close()
    return video


def test_pixels_and_times_come_back(tmp_path, codec):
    times = [0.0, 0.04, 0.5, 0.51, 2.0]
    video = write(tmp_path / "out.mp4", times)
    assert (video.codec, video.frames) == (codec, 5)
    frames = read_clip(tmp_path / "out.mp4")
    np.testing.assert_allclose([time for time, _ in frames], times, atol=2e-5)
    for number, (_, pixels) in enumerate(frames):
        assert abs(pixels[-8:, -8:].mean() - grey(number)) < 8


def test_odd_sides_become_even(tmp_path, codec):
    write(tmp_path / "out.mp4", [0.0], size=(31, 47))
    assert read_clip(tmp_path / "out.mp4")[0][1].shape == (32, 48, 3)


def test_a_frame_of_another_size_is_scaled(tmp_path):
    video = VideoEncoder(tmp_path / "out.mp4", None)
    video.add(frame_of(0), 0.0)
    video.add(frame_of(1, (64, 96)), 0.1)
    video.close()
    assert [pixels.shape for _, pixels in read_clip(tmp_path / "out.mp4")] == [(32, 48, 3)] * 2


def test_equal_times_still_make_a_video(tmp_path):
    write(tmp_path / "out.mp4", [0.0, 0.0, 0.0])
    assert len(read_clip(tmp_path / "out.mp4")) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_one_error(tmp_path):
    (tmp_path / "out.mp4").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        write(tmp_path / "out.mp4", np.arange(200) / 25)


def test_a_video_without_frames_leaves_no_file(tmp_path):
    write(tmp_path / "out.mp4", [])
    assert list(tmp_path.iterdir()) == []


# pain 126
@pytest.mark.slow
def test_a_killed_program_leaves_a_video_that_plays(tmp_path):
    path = tmp_path / "out.mp4"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert len(read_clip(path)) > 400

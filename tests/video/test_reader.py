"""Frames of videos: their pixels, numbers and times."""

import numpy as np
import pytest
from clips import frame_of, grey, write_clip

from detkit.errors import UserError
from detkit.video.locations import Kind, Location
from detkit.video.reader import VideoReader
from detkit.video.times import Selection


def reader_of(path, **selection):
    return VideoReader(Location(str(path), Kind.FILE), Selection(**selection))


def frames_in(path, **selection):
    with reader_of(path, **selection) as reader:
        return list(reader)


def numbers_and_times(path, **selection):
    return [(frame.number, round(frame.time, 3)) for frame in frames_in(path, **selection)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 10)


def test_frames_are_rgb_in_order(clip):
    frames = frames_in(clip)
    assert [frame.number for frame in frames] == list(range(10))
    for frame in frames:
        assert frame.pixels.shape == (32, 48, 3)
        assert frame.pixels.dtype == np.uint8
        assert abs(frame.pixels[-8:, -8:].mean() - grey(frame.number)) < 4
        np.testing.assert_allclose(frame.pixels[2, 2], [255, 0, 0], atol=60)


def test_the_header_is_read(clip):
    with reader_of(clip) as reader:
        info = reader.info
    assert (info.size, info.rate, info.duration) == ((32, 48), 25.0, 0.4)
    assert not info.has_audio
    assert not info.is_live


def test_sound_is_noticed(tmp_path):
    with reader_of(write_clip(tmp_path / "clip.mp4", 2, audio=True)) as reader:
        assert reader.info.has_audio


def test_every_third_frame(clip):
    assert numbers_and_times(clip, every=3) == [(0, 0.0), (3, 0.12), (6, 0.24), (9, 0.36)]


def test_from_a_start_to_an_end(clip):
    assert numbers_and_times(clip, start=0.12, end="0.24") == [(3, 0.12), (4, 0.16), (5, 0.2)]


def test_a_start_after_a_key_frame_gives_the_right_frames(clip):
    frame, *_ = frames_in(clip, start=0.28, every=2)
    assert frame.number == 7
    assert abs(frame.pixels[-8:, -8:].mean() - grey(7)) < 4


def test_a_start_behind_the_end_of_the_video_is_refused(clip):
    with pytest.raises(UserError, match=r"start=30: the video lasts 0\.4 s\."):
        reader_of(clip, start=30)


def test_a_variable_frame_rate_keeps_its_times(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", times=[0, 10, 200, 210, 900], frames=5)
    assert [time for _, time in numbers_and_times(path)] == [0, 0.01, 0.2, 0.21, 0.9]


def test_times_count_from_the_first_frame(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", times=[500, 540, 580], frames=3)
    assert numbers_and_times(path) == [(0, 0.0), (1, 0.04), (2, 0.08)]


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_rotation_in_the_metadata_is_applied(degrees, turns, tmp_path):
    frame, *_ = frames_in(write_clip(tmp_path / "clip.mp4", 1, rotation=degrees))
    expected = np.rot90(frame_of(0), turns)
    assert frame.pixels.shape == expected.shape
    assert np.abs(frame.pixels.astype(int) - expected).mean() < 8


@pytest.mark.slow
def test_an_8k_video(tmp_path):
    pixels = np.full((4320, 7680, 3), 90, np.uint8)
    frame, *_ = frames_in(write_clip(tmp_path / "clip.mp4", pictures=[pixels]))
    assert frame.pixels.shape == (4320, 7680, 3)

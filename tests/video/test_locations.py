"""What a source is, by its text."""

import pytest

from detkit.video.locations import Kind, Location, location_of, result_names


@pytest.mark.parametrize(
    ("source", "address", "kind", "name"),
    [
        ("0", "/dev/video0", Kind.CAMERA, "camera0"),
        (1, "/dev/video1", Kind.CAMERA, "camera1"),
        ("/dev/video2", "/dev/video2", Kind.CAMERA, "camera2"),
        ("a/clip.MP4", "a/clip.MP4", Kind.FILE, "clip"),
        ("rtsp://host:554/front/door", "rtsp://host:554/front/door", Kind.STREAM, "door"),
        ("https://host/a b.mp4?x=1", "https://host/a b.mp4?x=1", Kind.WEB, "a_b"),
        ("http://host/", "http://host/", Kind.WEB, "host"),
    ],
)
def test_locations(source, address, kind, name):
    location = location_of(source)
    assert (location.address, location.kind, location.name) == (address, kind, name)


@pytest.mark.parametrize(
    "source", ["photo.jpg", "photos", "clips/*.mp4", "photos/*.jpg", "s3://bucket/a", ""]
)
def test_everything_else_is_no_location(source):
    assert location_of(source) is None


def test_a_file_named_like_a_camera_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").touch()
    assert location_of("0") is None


def test_a_folder_named_like_a_video_is_a_folder(tmp_path):
    (tmp_path / "frames.mp4").mkdir()
    assert location_of(tmp_path / "frames.mp4") is None


def test_messages_hide_the_password_of_a_url():
    location = Location("rtsp://eva:secret@host:554/door", Kind.STREAM)
    assert str(location) == "rtsp://eva:***@host:554/door"


def test_equal_names_get_numbers():
    paths = ("a/clip.mp4", "b/Clip.mp4", "b/clip.avi")
    names = result_names([Location(path, Kind.FILE) for path in paths])
    assert names == ["clip", "Clip-2", "clip-3"]

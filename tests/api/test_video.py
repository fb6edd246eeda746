"""`Detector.video`: detections in frames, with times and identities. The detector of
`exported_files` finds the whole frame with its brightness as score, and its top left quarter."""

import threading
from itertools import pairwise

import numpy as np
import pytest
from clips import frame_of, grey, write_clip
from exported_files import write_onnx

import detkit
from detkit.video import reader as reader_module
from detkit.video.locations import Kind, Location
from detkit.video.reader import VideoReader

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return detkit.load(write_onnx(tmp_path_factory.mktemp("exported") / "model.onnx"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", 12)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_each_frame_has_its_detections(detector, clip, batch_size):
    frames = list(detector.video(clip, threshold=0.0, batch_size=batch_size))
    assert [frame.number for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(12) / 25, atol=1e-6)
    for frame in frames:
        whole, quarter = frame.result.boxes
        np.testing.assert_array_equal(whole, [0, 0, 48, 32])
        np.testing.assert_array_equal(quarter, [0, 0, 24, 16])
        expected = frame_of(frame.number).mean() / 255
        assert abs(frame.result.scores[0] - expected) < 0.03


def test_frames_are_those_of_the_selection(detector, clip):
    frames = detector.video(clip, every=2, start=0.12, end=0.4)
    assert frames.expected == 4
    assert [frame.number for frame in frames] == [3, 5, 7, 9]


def test_the_threshold_hides_weak_detections(detector, clip):
    frames = detector.video(clip, threshold=0.3)
    assert [len(frame.result) > 0 for frame in frames] == [
        frame_of(number).mean() / 255 > 0.3 for number in range(12)
    ]


def test_a_frame_is_drawn_in_one_size(detector, clip):
    sizes = {frame.result.draw(legend=False).size for frame in detector.video(clip, threshold=0)}
    assert len(sizes) == 1


def test_frames_differ(detector, clip):
    frames = [np.asarray(frame.result.draw())[-20:, -20:].mean() for frame in detector.video(clip)]
    assert all(earlier < later for earlier, later in pairwise(frames[:-1]))
    assert abs(frames[0] - grey(0)) < 20


def test_few_frames_are_in_memory(detector, tmp_path, monkeypatch):
    alive, most = set(), 0
    upright = reader_module.upright

    class Counted(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def counted(frame):
        nonlocal most
        pixels = upright(frame).view(Counted)
        alive.add(id(pixels))
        most = max(most, len(alive))
        return pixels

    monkeypatch.setattr(reader_module, "upright", counted)
    clip = write_clip(tmp_path / "long.mp4", pictures=[frame_of(0, (16, 16))] * 300)
    assert sum(1 for _ in detector.video(clip)) == 300
    assert 0 < most < 30


def test_stopping_early_ends_the_threads(detector, clip):
    before = threading.active_count()
    frames = detector.video(clip)
    next(frames)
    frames.close()
    assert threading.active_count() == before


def test_a_live_source_may_drop_frames_but_not_the_last(detector, clip, monkeypatch):
    described = VideoReader._described
    monkeypatch.setattr(VideoReader, "_described", lambda self: live(described(self)))
    frames = list(detector.video(clip))
    assert frames[-1].number == 11
    assert [frame.number for frame in frames] == sorted({frame.number for frame in frames})


def live(info):
    return type(info)(info.size, info.rate, None, info.has_audio, is_live=True)


def test_identities_follow_objects(detector, clip):
    pytest.importorskip("trackers", reason="tracking needs the package trackers")
    frames = list(detector.video(clip, start=0.12, track="bytetrack", threshold=0.05))
    assert frames[0].result.tracks.tolist() == [-1, -1]
    assert all(sorted(frame.result.tracks) == [0, 1] for frame in frames[1:])
    assert [row["track_id"] for row in frames[5].result.to_coco()] in ([0, 1], [1, 0])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("photo.jpg", r"source=photo\.jpg: no file, camera or address; expected a video such as"),
        ("none.mp4", r"none\.mp4: there is no such file"),
        ("rtsp://127.0.0.1:9/door", "the server refuses the connection"),
    ],
)
def test_sources_that_are_no_video(detector, source, message):
    with pytest.raises(detkit.UserError, match=message):
        detector.video(source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"every": 0}, "every=0: expected a whole number"),
        ({"start": "soon"}, "start=soon: expected seconds"),
        ({"track": "deepsort"}, "track=deepsort: expected bytetrack or sort"),
        ({"threshold": 2}, "threshold"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_wrong_arguments(detector, clip, change, message):
    with pytest.raises(detkit.UserError, match=message):
        detector.video(clip, **change)


def test_a_camera_is_a_number(detector):
    with pytest.raises(detkit.UserError, match="source=/dev/video97: there is no such camera"):
        detector.video(97)


@pytest.mark.slow
def test_memory_stays_flat_over_an_hour_of_frames(detector, tmp_path):
    """An hour at 25 frames/s; the process may not grow after the first tenth."""
    picture = frame_of(0, (16, 16))
    clip = write_clip(tmp_path / "hour.mp4", pictures=[picture] * 90_000)
    sizes = [resident_memory() for n, _ in enumerate(detector.video(clip)) if n % 9_000 == 8_999]
    assert len(sizes) == 10
    assert sizes[-1] - sizes[0] < 20 * 2**20


def resident_memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def test_a_location_is_named_in_errors_of_frames(detector, clip, monkeypatch):
    names = []
    prepare = detector._backend.prepare
    monkeypatch.setattr(
        detector._backend,
        "prepare",
        lambda image: names.append(image.description) or prepare(image),
    )
    list(detector.video(clip, end=0.08))
    assert names == [f"frame {n} of {Location(str(clip), Kind.FILE)}" for n in (0, 1)]

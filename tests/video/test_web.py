"""What a web server sends: images, videos, and things that are neither."""

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from clips import write_clip

from detkit.errors import DataError, UserError
from detkit.video import failures, reader
from detkit.video.locations import Kind, Location
from detkit.video.reader import VideoReader
from detkit.video.times import Selection
from detkit.video.web import image_at


@pytest.fixture
def serve():
    """A function that serves one answer (status, content type, body, seconds) at an address."""
    servers = []

    def start(status=200, kind="image/png", body=b"pixels", delay=0.0, length=None):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(delay)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(length or len(body)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # the client has enough
                    self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads, server.block_on_close = True, False
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_image_is_downloaded(serve):
    assert image_at(f"{serve()}/a") == b"pixels"


def test_the_name_tells_where_the_server_does_not(serve):
    url = serve(kind="application/octet-stream")
    assert image_at(f"{url}/a.jpg") == b"pixels"
    assert image_at(f"{url}/a.mp4") is None


def test_a_video_is_left_to_ffmpeg(serve):
    assert image_at(serve(kind="video/mp4")) is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": 404}, r"the server answers 404 \(Not Found\); check the address"),
        ({"kind": "text/html"}, "the server sends text/html; expected an image or a video"),
    ],
)
def test_answers_that_are_no_image(serve, answer, message):
    with pytest.raises(DataError, match=message):
        image_at(serve(**answer))


def test_a_server_that_never_answers(serve, monkeypatch):
    monkeypatch.setattr(failures, "TIMEOUT", 0.05)
    with pytest.raises(DataError, match="the server did not answer for 0 s"):
        image_at(serve(delay=1.0))


def test_a_closed_port():
    with pytest.raises(DataError, match="the server refuses the connection"):
        image_at("http://127.0.0.1:9/a.png")


def test_a_video_is_read_over_http(serve, tmp_path):
    body = write_clip(tmp_path / "clip.mp4").read_bytes()
    location = Location(serve(kind="video/mp4", body=body), Kind.WEB)
    with VideoReader(location, Selection()) as video:
        assert not video.info.is_live
        assert len(list(video)) == 10


# pain 126
def test_a_server_that_breaks_off_ends_the_video_with_a_reason(serve, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 25, options={"movflags": "faststart"})
    body = path.read_bytes()
    url = serve(kind="video/mp4", body=body[: len(body) * 4 // 5], length=len(body))
    with VideoReader(Location(url, Kind.WEB), Selection()) as video:
        assert 0 < len(list(video)) < 25
        assert video.cut_short


def test_a_video_server_that_never_answers(serve, monkeypatch):
    monkeypatch.setattr(reader, "TIMEOUT", 0.1)
    with pytest.raises(UserError, match="the server did not answer"):
        VideoReader(Location(serve(delay=1.0), Kind.WEB), Selection())


def test_a_stream_without_a_server():
    with pytest.raises(UserError, match=r"rtsp://127\.0\.0\.1:9/door: the server refuses"):
        VideoReader(Location("rtsp://127.0.0.1:9/door", Kind.STREAM), Selection())


def test_a_download_that_breaks_off_is_no_image(serve):
    with pytest.raises(DataError, match="the download broke off after 6 of 99 bytes; try again"):
        image_at(f"{serve(length=99)}/a")

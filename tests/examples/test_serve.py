"""examples/serve.py with a real client over loopback."""

import importlib.util
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import detkit

SERVE = Path(__file__).parents[2] / "examples/serve.py"
pytestmark = pytest.mark.slow
for package in ("fastapi", "uvicorn", "httpx", "python_multipart"):
    pytest.importorskip(package, reason='pip install "detkit[serve]" httpx')


@pytest.fixture(scope="module")
def client(trained: Path) -> Iterator["httpx.Client"]:  # noqa: F821
    """A client of a server that runs on a free port."""
    import httpx
    import uvicorn

    spec = importlib.util.spec_from_file_location("serve", SERVE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    app = example.create_app(str(trained / "first"))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as connection:
        yield connection
    server.should_exit = True
    thread.join(timeout=30)


def detect(client, path, **parameters):
    return client.post("/detect", files={"image": path.read_bytes()}, params=parameters)


def test_concurrent_requests_get_the_detections_of_their_image(client, trained, photos):
    detector = detkit.load(trained / "first")
    paths = [photos / f"{name}.png" for name in "abcabcab"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda path: detect(client, path, threshold=0), paths))
    assert [answer.status_code for answer in answers] == [200] * 8
    for path, answer in zip(paths, answers, strict=True):
        (result,) = detector.predict(path, threshold=0)
        content = answer.json()
        assert len(result) > 0
        assert [content["height"], content["width"]] == list(result.size)
        assert [d["box"] for d in content["detections"]] == result.boxes.tolist()
        assert [d["name"] for d in content["detections"]] == list(result.names)


def test_a_file_other_than_an_image_is_a_bad_request(client, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"text")
    answer = detect(client, tmp_path / "a.jpg")
    assert (answer.status_code, answer.json()) == (
        400,
        {"detail": "cannot read the image: not an image."},
    )


def test_a_wrong_threshold_is_a_bad_request(client, photos):
    answer = detect(client, photos / "a.png", threshold=2)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "threshold is 2.0; expected a score from 0 to 1."


def test_a_request_without_an_image_is_refused(client):
    assert client.post("/detect").status_code == 422
    assert client.get("/nothing").status_code == 404


def test_the_example_has_fewer_than_40_lines():
    assert len(SERVE.read_text().splitlines()) < 40

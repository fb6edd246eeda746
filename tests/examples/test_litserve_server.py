"""examples/litserve_server.py with LitServe: a server of its own, and its batches."""

import base64
import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from exported_files import write_onnx

SERVER = Path(__file__).parents[2] / "examples/litserve_server.py"
pytestmark = pytest.mark.slow
for package in ("litserve", "httpx", "onnx", "onnxruntime"):
    pytest.importorskip(package, reason='pip install "detkit[litserve]" httpx onnxruntime onnx')


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("litserve_server", SERVER)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator["httpx.Client"]:  # noqa: F821
    """A client of the example as a program, on a free port."""
    import httpx

    model = write_onnx(tmp_path_factory.mktemp("model") / "pets.onnx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = SERVER.read_text().replace("port=8000", f"port={port}")
    copy = model.with_name("server.py")
    copy.write_text(program)
    process = subprocess.Popen([sys.executable, str(copy), str(model)])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as connection:
        while not is_ready(connection):
            assert process.poll() is None
            time.sleep(0.2)
        yield connection
    process.terminate()
    process.wait(timeout=30)


def is_ready(client) -> bool:
    import httpx

    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def detect(client, content: bytes):
    return client.post("/predict", json={"image": base64.b64encode(content).decode()})


def test_requests_at_the_same_time_get_the_detections_of_their_image(client, photos):
    contents = [(photos / f"{name}.png").read_bytes() for name in "abab"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda content: detect(client, content).json(), contents))
    assert [(answer["width"], answer["height"]) for answer in answers] == [(120, 90), (96, 96)] * 2
    assert answers[0] == answers[2]
    assert answers[0]["detections"][0]["name"] == "cat"


def test_an_unreadable_image_fails_alone(client, photos):
    good = (photos / "a.png").read_bytes()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda content: detect(client, content).json(), [good, b"x"] * 2))
    assert ["error" in answer for answer in answers] == [False, True] * 2
    assert answers[1]["error"].endswith("not an image.")


@pytest.mark.parametrize("body", [{}, {"image": 3}, [1]])
def test_a_body_that_does_not_fit_is_refused(client, body):
    assert client.post("/predict", json=body).status_code == 422


def test_a_batch_goes_through_the_detector_at_once(example, tmp_path, photos):
    api = example.DetectAPI(str(write_onnx(tmp_path / "pets.onnx")), max_batch_size=8)
    api.setup("cpu")
    images = [(photos / f"{name}.png").read_bytes() for name in "ac"]
    outputs = api.unbatch(api.predict(api.batch([*images, b"x"])))
    answers = [api.encode_response(output) for output in outputs]
    assert [list(answer) for answer in answers[:2]] == [["height", "width", "detections"]] * 2
    assert list(answers[2]) == ["error"]

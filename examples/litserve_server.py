r"""Serve a detector with LitServe, which batches requests that arrive at the same time.

pip install "detkit[litserve]"
python examples/litserve_server.py runs/mine
curl http://127.0.0.1:8000/predict -H "Content-Type: application/json" \
    -d "{\"image\": \"$(base64 -w 0 photo.jpg)\"}"
"""

import sys
from typing import Any

import litserve
from pydantic import Base64Bytes, BaseModel

import detkit


class Photo(BaseModel):
    """A request; a body that does not fit is refused before it reaches a batch."""

    image: Base64Bytes


class DetectAPI(litserve.LitAPI):
    """Detects objects in batches of up to `max_batch_size` images."""

    def __init__(self, source: str, **options: Any) -> None:
        super().__init__(**options)
        self.source = source

    def setup(self, device: str) -> None:
        """Load the detector in each worker, on the worker's device."""
        self.detector = detkit.load(self.source, device=device)

    def decode_request(self, request: Photo) -> bytes:
        """The image file of a request."""
        return request.image

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """Images stay a list, as their sizes differ."""
        return inputs

    def predict(self, images: list[bytes]) -> list[detkit.Result | detkit.DataError]:
        """The result of each image; an unreadable one fails its own request alone."""
        return list(self.detector.stream(images, batch_size=len(images)))

    def unbatch(self, output: list[Any]) -> list[Any]:
        """One output for each request."""
        return output

    def encode_response(self, output: detkit.Result | detkit.DataError) -> dict[str, Any]:
        """The detections as JSON, or the error."""
        if isinstance(output, detkit.DataError):
            return {"error": str(output)}
        rows = zip(output.boxes.tolist(), output.scores.tolist(), output.names, strict=True)
        detections = [{"box": box, "score": score, "name": name} for box, score, name in rows]
        return {"height": output.size[0], "width": output.size[1], "detections": detections}


def create_server(source: str) -> litserve.LitServer:
    """A server for what `detkit.load` takes: a run, a bundle, `model.onnx`, `hf://OWNER/NAME`."""
    api = DetectAPI(source, max_batch_size=8, batch_timeout=0.01)  # seconds to wait for others
    return litserve.LitServer(api, accelerator="auto")


if __name__ == "__main__":
    create_server(sys.argv[1]).run(host="127.0.0.1", port=8000, generate_client_file=False)

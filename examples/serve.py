"""Serve a detector over HTTP.

pip install "detkit[serve]"
python examples/serve.py runs/mine
curl -F image=@photo.jpg "http://127.0.0.1:8000/detect?threshold=0.4"
"""

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, UploadFile

import detkit


def create_app(source: str) -> FastAPI:
    """Create an application for a run folder, a checkpoint or a bundle."""
    app, detector = FastAPI(title="detkit"), detkit.load(source)

    @app.post("/detect")
    def detect(image: UploadFile, threshold: float | None = None) -> dict[str, Any]:
        # FastAPI runs a plain function in its thread pool; all threads share the detector.
        try:
            (result,) = detector.predict(image.file.read(), threshold=threshold)
        except detkit.UserError as error:
            raise HTTPException(400, str(error)) from error
        rows = zip(result.boxes.tolist(), result.scores.tolist(), result.names, strict=True)
        detections = [{"box": box, "score": score, "name": name} for box, score, name in rows]
        return {"height": result.size[0], "width": result.size[1], "detections": detections}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1]), host="127.0.0.1", port=8000)

"""`detkit bundle RUN hub=OWNER/NAME`: a bundle with a model card on the Hugging Face hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

from detkit.remote.hub_upload import HubRepository, repository_to_upload
from detkit.runs.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from detkit.runs.layout import BUNDLE, CONFIG
from detkit.runs.tensor_file import mapping_in
from detkit.text import file_size
from detkit.weights.bundling import bundle_checkpoint
from detkit.weights.model_card import CARD, model_card


def upload(
    checkpoint: Checkpoint,
    output: str | None,
    repository: str,
    *,
    private: bool | None,
    licence: str | None,
) -> None:
    """Write a bundle with a model card, print its files, and upload it.

    Args:
        checkpoint: The detector.
        output: A folder that keeps the uploaded files; None keeps none.
        repository: OWNER/NAME on the hub.
        private: Whether the upload is private; None is true, and refuses a public repository.
        licence: The licence of the weights, by the hub's name for it.

    Raises:
        UserError: The hub cannot be reached or refuses it, or the folder cannot be written.
    """
    target = repository_to_upload(repository, private)  # before anything is written
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(output or Path(temporary, "bundle"))
        shortened = bundle_checkpoint(checkpoint, folder, shorten_paths=True)
        bundle = read_checkpoint(find_checkpoint(str(folder)))  # as its users will
        card = model_card(bundle, mapping_in(folder / BUNDLE), repository, licence)
        (folder / CARD).write_text(card, encoding="utf-8")
        print(_about(target, folder, shortened, licence))
        address = target.upload(folder, f"Detector written by detkit {bundle.record.version}")
    print(f"uploaded: {address}\nuse it: detkit predict ckpt=hf://{repository} source=PHOTOS")


def _about(
    repository: HubRepository, folder: Path, shortened: list[str], licence: str | None
) -> str:
    """What is about to be uploaded, and to whom it will be visible."""
    visibility = "private" if repository.private else "public"
    kind = f"the {visibility}" if repository.exists else f"a new {visibility}"
    files = [
        f"  {file.name}  {file_size(file.stat().st_size)}" for file in sorted(folder.iterdir())
    ]
    lines = [f"uploading to {kind} repository {repository.name}:", *files]
    lines += [f"{CONFIG}: {path} is uploaded as {Path(path).name}" for path in shortened]
    if licence is None:
        lines.append("licence: not stated; licence=NAME states one, such as licence=apache-2.0")
    return "\n".join(lines)

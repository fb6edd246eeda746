"""What `source=` names: image files, videos, cameras, streams and addresses, alone or in a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from glob import glob
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from detkit.cli.predict_settings import FrameSettings
from detkit.errors import DataError, UserError
from detkit.files import is_below
from detkit.image_files import files_below, is_hidden, is_image
from detkit.inference.earlier_prediction import holds_prediction
from detkit.inference.sources import find_images, natural_order
from detkit.video.locations import Kind, Location, is_video, location_of
from detkit.video.web import image_at

_OF_FILES = ("label_studio", "fiftyone")  # formats that other programs open with the images
_LIST = ".txt"  # a text file of sources


class ImageInput(NamedTuple):
    """An image to predict on.

    Attributes:
        address: Its file or URL, as the user named it.
        content: Its bytes, if they are downloaded already.
    """

    address: str
    content: bytes | None = None

    @property
    def path(self) -> Path:
        """A path with the name of the image."""
        if "://" in self.address:
            return Path(unquote(urlsplit(self.address).path).strip("/") or "image")
        return Path(self.address)


class Inputs(NamedTuple):
    """The images and the videos of a source, in order.

    Attributes:
        images: The images.
        videos: The videos, cameras and streams.
        errors: Of the addresses in a list whose server sends neither.
    """

    images: list[ImageInput]
    videos: list[Location]
    errors: list[DataError]


class _Entry(NamedTuple):
    """A source, and the line of a text file that names it, for messages."""

    source: str | int
    origin: str = ""


def find_inputs(source: str | int | Sequence[str | int]) -> Inputs:
    """Sort out what a source, or a list of sources, names.

    Raises:
        UserError: It names nothing that exists.
    """
    entries = list(_entries(source))
    if any(entry.source == "" for entry in entries):
        raise UserError("source=: is empty; expected files, folders or URLs.")
    if not entries:
        raise UserError(
            f"source={in_words(source)}: the list is empty; expected files, folders or URLs."
        )
    inputs = Inputs([], [], [])
    for entry in entries:
        try:
            _add(inputs, entry.source, is_single=len(entries) == 1)
        except DataError as error:  # of a server; the others may answer
            inputs.errors.append(error)
        except UserError as error:
            raise UserError(f"{entry.origin}{error}") from error
    if not (inputs.images or inputs.videos):
        raise inputs.errors[0]
    return inputs


def _entries(source: str | int | Sequence[str | int]) -> Iterator[_Entry]:
    for entry in [source] if isinstance(source, str | int) else source:
        if _is_list(str(entry)):
            yield from _lines(str(entry))
        else:
            yield _Entry(entry)


def _is_list(source: str) -> bool:
    path = Path(source).expanduser()
    return path.suffix.lower() == _LIST and path.is_file()


def _lines(name: str) -> Iterator[_Entry]:
    """The sources in a text file; relative paths are relative to the file.

    Raises:
        UserError: The file is no text.
    """
    file = Path(name).expanduser()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"source={file}: expected a text file with a path per line.") from error
    for number, line in enumerate(map(str.strip, lines), start=1):
        if line and not line.startswith("#"):
            path = line if "://" in line else str(file.parent / Path(line).expanduser())
            yield _Entry(path, f"{name}, line {number}: ")


def _add(inputs: Inputs, source: str | int, *, is_single: bool) -> None:
    location = location_of(source)
    if location is None:
        _add_files(inputs, str(source))
    elif location.kind is Kind.WEB:
        _add_web(inputs, location, is_single=is_single)
    elif location.kind is Kind.FILE and not location.is_sequence:
        if not Path(location.address).is_file():
            raise UserError(f"source={source}: there is no such file.")
        inputs.videos.append(location)
    else:
        inputs.videos.append(location)


def _add_files(inputs: Inputs, source: str) -> None:
    """The images and videos in a folder, or those that fit a pattern.

    Raises:
        UserError: There are none, or it is an address of a kind that detkit cannot open.
    """
    scheme, separator, _ = source.partition("://")
    if separator and "/" not in scheme:
        raise UserError(
            f"source={source}: detkit cannot open {scheme} addresses, only http, https and streams "
            "such as rtsp: download the file and give its path."
        )
    videos = sorted(_videos_in(source), key=natural_order)
    inputs.videos.extend(Location(str(path), Kind.FILE) for path in videos)
    try:
        inputs.images.extend(ImageInput(str(path)) for path in find_images(source))
    except UserError:
        if not videos:
            raise


def _videos_in(source: str) -> Iterator[Path]:
    path = Path(source).expanduser()
    files = files_below(path) if path.is_dir() else map(Path, glob(str(path), recursive=True))
    return (file for file in files if is_video(file) and not is_hidden(file.name))


def _add_web(inputs: Inputs, location: Location, *, is_single: bool) -> None:
    """Ask the server for one address; in a list, names of images are trusted until their turn."""
    image = ImageInput(location.address)
    if is_single or not is_image(image.path):
        content = image_at(location.address)
        if content is None:
            inputs.videos.append(location)
            return
        image = image._replace(content=content)
    inputs.images.append(image)


def without_results(inputs: Inputs, output: Path) -> Inputs:
    """The inputs without the pictures of an earlier prediction, where a source holds its output.

    If nothing would be left, all inputs stay, so that `require_outside` refuses them.
    """
    if not holds_prediction(output):
        return inputs
    images = [image for image in inputs.images if not _is_result(image.address, output)]
    videos = [video for video in inputs.videos if not _is_result(video.address, output)]
    return Inputs(images, videos, inputs.errors) if images or videos else inputs


def _is_result(address: str, output: Path) -> bool:
    return "://" not in address and is_below(Path(address), output)


def require_outside(output: Path, inputs: Inputs) -> None:
    """Refuse an output folder with one of the inputs, which a result could replace.

    Raises:
        UserError: It is such a folder.
    """
    files = [image.path for image in inputs.images if "://" not in image.address]
    files += [Path(video.address) for video in inputs.videos if video.kind is Kind.FILE]
    folder = output.resolve()
    inside = [file for file in files if file.resolve().parent == folder] if folder.is_dir() else []
    if inside:
        raise UserError(
            f"output={output}: the folder holds the input '{inside[0].name}': choose another "
            "folder."
        )


def require_videos(
    frames: FrameSettings, inputs: Inputs, source: str | int | Sequence[str | int]
) -> None:
    """Refuse settings of videos where there are only images.

    Raises:
        UserError: They would have no effect.
    """
    words = frames.words()
    if words and not inputs.videos:
        raise UserError(
            f"{' '.join(words)}: only applies to videos, and source={in_words(source)} has none. "
            "For numbered images, give a pattern such as source='frames/%06d.jpg'."
        )


def require_images(resume: bool | None, inputs: Inputs) -> None:
    """Refuse `resume=true` where there are only videos, which always start over.

    Raises:
        UserError: It would have no effect.
    """
    if resume and not inputs.images:
        raise UserError(
            "resume=true: only applies to images, and the source has none. A video starts over; "
            "set start= to continue it at some time."
        )


def require_image_files(formats: Iterable[str], inputs: Inputs) -> None:
    """Refuse formats that refer to image files where the source has a video.

    Raises:
        UserError: There is one.
    """
    names = [name for name in formats if name in _OF_FILES]
    if names and inputs.videos:
        raise UserError(
            f"format={names[0]}: refers to image files, and {inputs.videos[0]} is read as a video: "
            "write its frames to a folder, such as `ffmpeg -i clip.mp4 frames/%06d.png`, and give "
            "the folder."
        )


def in_words(source: str | int | Sequence[str | int]) -> str:
    """A source as the user writes it."""
    if isinstance(source, str | int):
        return str(source)
    return str(source[0]) if len(source) == 1 else f"[{','.join(map(str, source))}]"

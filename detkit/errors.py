"""Errors that a user can act on; the command line shows them without traceback, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """The input is wrong; the message says what came, what was expected and what to change.

    Example:
        >>> try:
        ...     detkit.load("runs/missing")
        ... except detkit.UserError as error:
        ...     print(error)
        source=runs/missing: there is no such file or folder; give a run folder or a file.
    """


class ConfigError(UserError):
    """The configuration is wrong; `problems` holds a message for each problem.

    Example:
        >>> try:
        ...     detkit.compose(["model=fcos", "seed=often", "trainer.max_epoch=3"])
        ... except detkit.ConfigError as error:
        ...     len(error.problems)
        2
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        """Other processes get the list of problems back, not the text that joins them."""
        return type(self), (self.problems,)


class DataError(UserError):
    """A data set or an image cannot be used as it is.

    Example:
        >>> try:
        ...     detector.predict(b"no image")
        ... except detkit.DataError as error:
        ...     print(error)
        cannot read the image: not an image.
    """


class Stopped(BaseException):
    """The user ended the command; what it had done so far is kept.

    Like KeyboardInterrupt it is no Exception, so that nothing on the way takes it for an error.

    Attributes:
        exit_code: 128 and the signal, as shells have it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message, signal_number)  # both, so that a copy by pickle is equal
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return str(self.args[0])


# Packages that detkit needs, but not for predictions of exported files.
_WHOLE = {
    *("torch", "torchvision", "lightning", "torchmetrics", "hydra", "omegaconf", "pydantic"),
    *("pycocotools", "faster_coco_eval", "timm", "safetensors", "wandb", "matplotlib", "yaml"),
    *("tqdm", "defusedxml", "jinja2", "cv2"),
}


def without_dependencies(error: ModuleNotFoundError, subject: str) -> UserError | None:
    """The error for a package that `pip install --no-deps detkit` has not installed.

    Args:
        error: What Python raised.
        subject: What needs the package.

    Returns:
        None if detkit does not require this package.
    """
    package = (error.name or "").partition(".")[0]
    if package not in _WHOLE:
        return None
    return UserError(
        f"{subject} needs the package {package}, which is not installed: pip install detkit "
        "installs it. Without it, detkit only runs exported files, such as model.onnx."
    )


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that the user most probably meant, or None."""
    known = list(candidates)
    in_another_case = (candidate for candidate in known if candidate.lower() == name.lower())
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.55)
    return next(in_another_case, matches[0] if matches else None)


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A sentence that names the nearest candidate, or nothing."""
    match = nearest(name, candidates)
    return f" Did you mean '{match}'?" if match else ""

"""A detector on the Hugging Face hub: `hf://OWNER/NAME[@REVISION][/FILE]`.

`huggingface_hub` has its own cache, resumes downloads, and follows proxies, HF_ENDPOINT and
HF_HUB_OFFLINE.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.errors import UserError
from detkit.remote.hub_client import about_error, client, endpoint, is_refusal
from detkit.runs.layout import BUNDLE, BUNDLE_WEIGHTS, CONFIG
from detkit.text import file_size, listed

BUNDLE_FILES = (BUNDLE, BUNDLE_WEIGHTS, CONFIG)
_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/([\w./-]+))?")
_COMMIT = re.compile("[0-9a-f]{40}")
_SECONDS = 10.0  # to wait for an answer about the repository
_LISTED = 8  # files in a message


@dataclass(frozen=True)
class HubModel:
    """A bundle or a file in a repository on the hub.

    Attributes:
        repository: OWNER/NAME.
        revision: A branch, tag or commit; None is the default branch.
        file: A file in the repository, such as `model.onnx`; None is the repository's bundle.
        fallback: The file to take from a repository without a bundle, if any.
    """

    repository: str
    revision: str | None = None
    file: str | None = None
    fallback: str | None = None

    def cached(self) -> Path | None:
        """The bundle's folder, or the file, in the cache; None if it was not downloaded yet."""
        for names in self._choices():
            if (path := self._cached(names, self.revision)) is not None:
                return path
        return None

    def missing(self, key: str, reason: str) -> UserError:
        """The error of a model that cannot be used.

        Args:
            key: The configuration key and its value, for the message.
            reason: The reason.
        """
        return UserError(
            f"{key}: {self.repository} on the Hugging Face hub {reason}: download it elsewhere (hf "
            f"download {self.repository} --local-dir FOLDER) and give the path of the folder."
        )

    def fetch(self, key: str) -> Path:
        """The bundle's folder, or the file, downloaded unless the cache has the current version.

        Without a connection, the version in the cache is used, and a line says so.

        Args:
            key: The configuration key and its value, for messages.

        Raises:
            UserError: There is no such model, or it cannot be downloaded.
        """
        hub = client(key)
        if _COMMIT.fullmatch(self.revision or "") and (path := self.cached()) is not None:
            return path  # a commit never changes
        try:
            facts = hub.HfApi(endpoint=endpoint()).model_info(
                self.repository, revision=self.revision, files_metadata=True, timeout=_SECONDS
            )
        except Exception as error:  # each layer of the hub's client raises errors of its own
            return self._without_hub(key, error)
        sizes = {sibling.rfilename: sibling.size or 0 for sibling in facts.siblings or ()}
        names = self._names(key, sizes)
        current = self._cached(names, facts.sha)
        if current is None:
            sys.stderr.write(f"{self._about(facts, sum(sizes[name] for name in names))}\n")
        elif current == self._cached(names, self.revision):
            return current
        return self._download(key, names)  # or only records which commit the revision is now

    def _choices(self) -> list[tuple[str, ...]]:
        """The files to look for, in order of preference."""
        if self.file is None:
            return [BUNDLE_FILES, *([(self.fallback,)] if self.fallback else [])]
        weights = [str(Path(self.file).with_suffix(".bin"))] if self.file.endswith(".xml") else []
        return [(self.file, *weights)]

    def _names(self, key: str, available: Collection[str]) -> tuple[str, ...]:
        for names in self._choices():
            if set(names) <= set(available):
                return names
        files = sorted(available)
        shown = f"{', '.join(files[:_LISTED]) or 'none'}{', ...' * (len(files) > _LISTED)}"
        message = f"{key}: {self.repository} on the Hugging Face hub holds"
        if self.file is not None:
            raise UserError(f"{message} no {listed(self._choices()[0])}. Its files: {shown}.")
        raise UserError(
            f"{message} no detkit bundle, which `detkit bundle RUN hub={self.repository}` uploads. "
            f"Its files: {shown}. hf://{self.repository}/FILE takes one of them."
        )

    def _cached(self, names: tuple[str, ...], revision: str | None) -> Path | None:
        from huggingface_hub import try_to_load_from_cache  # the client takes 0.5 s

        paths = [try_to_load_from_cache(self.repository, name, revision=revision) for name in names]
        return self._path(paths) if all(isinstance(path, str) for path in paths) else None

    def _download(self, key: str, names: tuple[str, ...]) -> Path:
        from huggingface_hub import hf_hub_download

        try:
            return self._path(
                [
                    hf_hub_download(
                        self.repository, name, revision=self.revision, endpoint=endpoint()
                    )
                    for name in names
                ]
            )
        except Exception as error:  # see `fetch`
            raise self.missing(key, f"could not be downloaded ({about_error(error)})") from error

    def _path(self, paths: list[Any]) -> Path:
        """The path of the first file, or the folder that holds the files of a bundle."""
        first = Path(paths[0])
        return first.parent if first.name == BUNDLE else first

    def _without_hub(self, key: str, error: Exception) -> Path:
        if (refusal := is_refusal(error, self.repository, self.revision)) is not None:
            raise UserError(f"{key}: {refusal}") from error
        path = self.cached()
        if path is None:
            raise self.missing(key, f"could not be reached ({about_error(error)})") from error
        sys.stderr.write(
            f"{key}: the hub could not be reached ({about_error(error)}): using {path}\n"
        )
        return path

    def _about(self, facts: Any, size: int) -> str:
        licence = getattr(facts.card_data, "license", None) or "not stated on the hub"
        return (
            f"downloading the detector {self.repository} from the Hugging Face hub "
            f"({file_size(size)}, licence {licence}, commit {str(facts.sha)[:8]})"
        )


def hub_model(address: str, key: str, fallback: str | None = None) -> HubModel:
    """The model at an address that begins with `hf://`.

    Args:
        address: The address.
        key: The configuration key that holds it, for messages.
        fallback: The file to take from a repository without a bundle.

    Raises:
        UserError: It is no such address.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise UserError(
            f"{key}={address}: expected hf://OWNER/NAME, such as hf://me/cells; @REVISION and "
            "/FILE may follow."
        )
    return HubModel(match[1], match[2], match[3], fallback)

"""Weights on the Hugging Face hub: `hf://OWNER/REPOSITORY[@REVISION][/FILE]`.

`huggingface_hub` downloads them to its own cache, resumes, and follows proxies and HF_ENDPOINT.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from detkit.errors import UserError
from detkit.weights.download import about_download

_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/([\w./-]+))?")
USUAL_FILE = "model.safetensors"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the hub.

    Attributes:
        repository: OWNER/NAME.
        name: The file's path in the repository.
        revision: A branch, tag or commit; None is the default branch.
        licence: Its licence; None asks the hub.
    """

    repository: str
    name: str = USUAL_FILE
    revision: str | None = None
    licence: str | None = None

    def cached(self) -> Path | None:
        """The file in the cache; None if it was not downloaded yet."""
        from huggingface_hub import try_to_load_from_cache  # the client takes 0.5 s

        path = try_to_load_from_cache(self.repository, self.name, revision=self.revision)
        return Path(path) if isinstance(path, str) else None

    def missing(self, key: str, reason: str) -> UserError:
        """The error of a file that is not in the cache.

        Args:
            key: The configuration key and its value, for the message.
            reason: Why it is not there.
        """
        return UserError(
            f"{key}: {self.name} of {self.repository} on the Hugging Face hub {reason}: download "
            f"it elsewhere (hf download {self.repository} {self.name}) and copy the hub's cache to "
            f"{_cache()}, or give the file's path: weights=FILE."
        )

    def fetch(self, key: str) -> Path:
        """The file in the cache, downloaded if necessary.

        Args:
            key: The configuration key and its value, for messages.

        Raises:
            UserError: It cannot be downloaded.
        """
        if (path := self.cached()) is not None:
            return path
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        endpoint = os.environ.get("HF_ENDPOINT")
        try:
            address = hf_hub_url(
                self.repository, self.name, revision=self.revision, endpoint=endpoint
            )
            facts = get_hf_file_metadata(address, endpoint=endpoint)
            size = "unknown size" if facts.size is None else f"{facts.size / 1e6:.0f} MB"
            check_sum = facts.etag if facts.etag and len(facts.etag) == 64 else ""  # noqa: PLR2004
            licence = self.licence or self._stated_licence(endpoint)
            line = about_download(address, size, licence, check_sum, _cache())
            sys.stderr.write(f"{line}\n")
            return Path(
                hf_hub_download(
                    self.repository, self.name, revision=self.revision, endpoint=endpoint
                )
            )
        except Exception as error:  # each layer of the hub's client raises errors of its own
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise self.missing(key, f"could not be downloaded ({reason})") from error

    def _stated_licence(self, endpoint: str | None) -> str:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        try:
            facts = HfApi(endpoint=endpoint).model_info(self.repository, revision=self.revision)
        except HfHubHTTPError:
            return "not stated on the hub"
        licence = getattr(facts.card_data, "license", None)
        return str(licence) if licence else "not stated on the hub"


def _cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def hub_file(address: str) -> HubFile:
    """The file at an address that begins with `hf://`.

    Raises:
        UserError: It is no such address.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise UserError(
            f"weights={address}: expected hf://OWNER/REPOSITORY/FILE, for example "
            "hf://timm/resnet50.a1_in1k/model.safetensors; @REVISION may follow the repository."
        )
    return HubFile(match[1], match[3] or USUAL_FILE, match[2])

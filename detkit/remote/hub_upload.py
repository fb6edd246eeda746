"""Upload a folder to a model repository of the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit.errors import UserError
from detkit.remote.hub_client import about_error, client, endpoint

_KEY = "hub"


@dataclass(frozen=True)
class HubRepository:
    """A model repository to upload to; it may not exist yet.

    Attributes:
        name: OWNER/NAME.
        private: Whether the upload is private; a new repository becomes so.
        exists: Whether it exists.
    """

    name: str
    private: bool
    exists: bool

    def upload(self, folder: Path, message: str) -> str:
        """Upload the files of a folder in one commit; returns the repository's address.

        Raises:
            UserError: The hub refuses it, or cannot be reached.
        """
        hub = _api()
        try:
            if not self.exists:
                hub.create_repo(self.name, private=self.private, exist_ok=True)
            hub.upload_folder(repo_id=self.name, folder_path=folder, commit_message=message)
        except Exception as error:  # each layer of the hub's client raises errors of its own
            raise UserError(
                f"{_KEY}={self.name}: the upload failed ({about_error(error)}): no file was "
                "published. Check that your token may write to this repository, and try again."
            ) from error
        return f"{hub.endpoint}/{self.name}"


def repository_to_upload(name: str, private: bool | None) -> HubRepository:
    """A repository that this user may upload to; changes nothing on the hub.

    Args:
        name: OWNER/NAME.
        private: Whether the upload is private; None is true, and refuses a public repository.

    Raises:
        UserError: Nobody is logged in, the name is none, or the repository has another visibility.
    """
    hub = _api()
    errors: Any = client(_KEY).errors
    if name.count("/") != 1 or not all(name.split("/")):
        raise UserError(f"{_KEY}={name}: expected hub=OWNER/NAME, such as hub=me/cells.")
    try:
        hub.whoami()
        facts = hub.model_info(name)
    except errors.LocalTokenNotFoundError as error:
        raise UserError(
            f"{_KEY}={name}: you are not logged in to the Hugging Face hub: run `hf auth login`, "
            "or set HF_TOKEN."
        ) from error
    except errors.RepositoryNotFoundError:
        return HubRepository(name, private is not False, exists=False)
    except Exception as error:  # see `upload`
        raise UserError(
            f"{_KEY}={name}: the Hugging Face hub cannot be used ({about_error(error)}): check the "
            "connection and your token."
        ) from error
    if bool(facts.private) != (private is not False):
        visibility = "private" if facts.private else "public"
        raise UserError(
            f"{_KEY}={name}: this repository exists and is {visibility}: to upload to it, add "
            f"private={str(bool(facts.private)).lower()}, or choose another name."
        )
    return HubRepository(name, bool(facts.private), exists=True)


def _api() -> Any:
    return client(_KEY).HfApi(endpoint=endpoint())

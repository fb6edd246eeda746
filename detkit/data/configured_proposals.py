"""The proposal file that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detkit.data.proposal_file import ProposalFile
from detkit.errors import ConfigError


def configured_proposals(config: Mapping[str, Any]) -> ProposalFile | None:
    """The file that proposer 'external' reads regions from; None for any other detector.

    Raises:
        ConfigError: No file is set.
        DataError: It does not exist, or is not a proposal file.
    """
    proposer = (config.get("model") or {}).get("proposer") or {}
    if proposer.get("name") != "external":
        return None
    if proposer["file"] is None:
        raise ConfigError(
            [
                "model.proposer.file is null, and proposer 'external' reads its regions from a "
                "file: write one with `detkit data propose DATA output=proposals.db`, then set "
                "model.proposer.file=proposals.db."
            ]
        )
    return ProposalFile(Path(proposer["file"]).expanduser())

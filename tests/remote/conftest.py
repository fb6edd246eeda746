"""A hub on this machine, with a user who is logged in."""

from hub_server import hub  # noqa: F401  # a fixture

"""The rules one by one, where a whole command would not reach them."""

import pytest

from detkit.config.checks.safety import (
    Trust,
    refuse_composed,
    refuse_in_page,
    refuse_outside_values,
)
from detkit.errors import ConfigError

COMPOSED = {"launcher": {"_target_": "a"}, "sweeper": {"_target_": "b"}, "callbacks": {}}


def test_a_composed_block_of_hydra_runs_launcher_and_sweeper() -> None:
    refuse_composed({**COMPOSED, "job": {"env_set": {}}, "searchpath": []})


@pytest.mark.parametrize(
    ("added", "path"),
    [
        ({"callbacks": {"x": {"_target_": "a"}}}, r"hydra\.callbacks is refused"),
        ({"searchpath": ["pkg://a"]}, r"hydra\.searchpath"),
        ({"job": {"env_set": {"PYTHONPATH": "a"}}}, r"hydra\.job\.env_set"),
        (
            {"job_logging": {"handlers": {"x": {"()": "a"}}}},
            r"hydra\.job_logging\.handlers\.x\.\(\)",
        ),
        ({"launcher": {"inner": {"_target_": "a"}}}, r"hydra\.launcher\.inner\._target_"),
    ],
)
# pain 19
def test_other_content_is_refused(added: dict, path: str) -> None:
    with pytest.raises(ConfigError, match=path):
        refuse_composed({**COMPOSED, **added})


@pytest.mark.parametrize(
    "text",
    ["${model.name}", "a_${now:%Y-%m-%d}", "${hydra:job.num}", "${..seed}", "plain", "a $ {b}"],
)
def test_a_strangers_page_may_point_at_keys(text: str) -> None:
    refuse_outside_values({"run_name": text, "list": [text]}, "a page")


@pytest.mark.parametrize(
    "text", ["${oc.env:X}", "${oc.${a}:X}", "$${a}{oc.env:X}", "${ oc.env : X}", "${oc.decode:a}"]
)
# pain 19
def test_a_strangers_page_reads_nothing_else(text: str) -> None:
    with pytest.raises(ConfigError, match=r"'list: .*' is refused"):
        refuse_outside_values({"list": ["a", text]}, "a page")


def test_a_users_page_may_set_up_a_launcher_and_a_stranger_not() -> None:
    page = {"hydra": {"launcher": {"n_jobs": 2}, "sweep": {"dir": "here"}}}
    refuse_in_page(page, "_global_", "a page", Trust.USER)
    with pytest.raises(ConfigError, match="cannot configure Hydra"):
        refuse_in_page(page, "_global_", "a page", Trust.STRANGER)

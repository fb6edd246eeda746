"""Attempts to run code from a configuration, each with a module that would leave a trace."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import hydra.utils
import pytest
import torch

from detkit import registry
from detkit.cli.main import main
from detkit.config import compose, folders
from detkit.config.plugins import for_child
from detkit.config.sweep_jobs import multirun
from detkit.errors import ConfigError, UserError
from detkit.runs.frozen_config import read_frozen

CANARY = """\
from pathlib import Path
TRACE = Path(__file__).with_name("trace")
TRACE.write_text("imported")
def sing(*arguments, **named):
    TRACE.write_text("called")
"""
TARGET = "_target_: canary.sing"
GLOBAL = "# @package _global_\n"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose parent holds the importable canary and nothing of the user's."""
    (tmp_path / "canary.py").write_text(CANARY)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(folders.USER_FOLDER_VARIABLE, "")  # is put back, whatever the words set
    monkeypatch.setattr(registry, "_loaded_plugins", {})
    monkeypatch.setattr(registry, "plugin_failures", {})
    monkeypatch.setattr("detkit.cli.train.start", lambda *_, **__: (None, 0))
    yield folder
    sys.modules.pop("canary", None)


@pytest.fixture
def refused(work: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command line, which must refuse and must not have touched the canary."""

    def run(*words: str) -> str:
        assert main(list(words)) == 2
        shown = capsys.readouterr().err
        assert not (work.parent / "trace").exists(), "the configuration ran code"
        assert "canary" not in sys.modules
        assert "Traceback" not in shown
        return shown

    return run


def write(folder: Path, name: str, text: str) -> None:
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_canary_would_tell(work: Path) -> None:
    hydra.utils.instantiate({"_target_": "canary.sing"})
    assert (work.parent / "trace").read_text() == "called"


PAGES = {
    "target in a part": ("experiment/x", f"{GLOBAL}model: {{neck: {{{TARGET}}}}}"),
    "target in a list": ("experiment/x", f"{GLOBAL}plugins: [[{{a: {{{TARGET}}}}}]]"),
    "target by a merge key": (
        "experiment/x",
        f"{GLOBAL}a: &a {{{TARGET}}}\nmodel:\n  neck:\n    <<: *a\n",
    ),
    "target in quotes": (
        "experiment/x",
        f'{GLOBAL}model: {{neck: {{"\\x5ftarget_": canary.sing}}}}',
    ),
    "callback": ("experiment/x", f"{GLOBAL}hydra: {{callbacks: {{x: {{{TARGET}}}}}}}"),
    "callback from text": (
        "experiment/x",
        f"{GLOBAL}hydra: {{callbacks: {{x: '${{oc.create:\"{{{TARGET}}}\"}}'}}}}",
    ),
    "callback from assembled text": (
        "experiment/x",
        f"{GLOBAL}hydra: {{callbacks: {{x: '${{oc.decode:\"{{_tar${{run_name}}: a}}\"}}'}}}}",
    ),
    "callback by interpolation": (
        "experiment/x",
        f"{GLOBAL}run_name: x\nhydra: {{callbacks: {{x: '${{run_name}}'}}}}",
    ),
    "launcher's target": ("experiment/x", f"{GLOBAL}hydra: {{launcher: {{{TARGET}}}}}"),
    "launcher by interpolation": (
        "experiment/x",
        f"{GLOBAL}hydra: {{launcher: '${{oc.decode:\"{{a: 1}}\"}}'}}",
    ),
    "handler's factory": (
        "experiment/x",
        f"{GLOBAL}hydra: {{job_logging: {{version: 1, handlers: {{x: {{'()': canary.sing}}}}}}}}",
    ),
    "handler's class": (
        "experiment/x",
        f"{GLOBAL}hydra: {{job_logging: {{version: 1, handlers: {{x: {{class: canary.sing}}}}}}}}",
    ),
    "handler's outside value": (
        "experiment/x",
        f"{GLOBAL}hydra: {{hydra_logging: {{root: {{level: 'ext://canary.sing'}}}}}}",
    ),
    "environment of jobs": (
        "experiment/x",
        f"{GLOBAL}hydra: {{job: {{env_set: {{PYTHONSTARTUP: canary.py}}}}}}",
    ),
    "search path": ("experiment/x", f"{GLOBAL}hydra: {{searchpath: ['pkg://canary']}}"),
    "sweep of Hydra's settings": (
        "experiment/x",
        f"{GLOBAL}hydra: {{sweeper: {{params: {{+hydra.job_logging.x: 1}}}}}}",
    ),
    "page of another package": ("experiment/x", f"# @package hydra.callbacks\nx: {{{TARGET}}}"),
    "page of Hydra's package": ("experiment/x", "# @package hydra\njob: {env_set: {A: b}}"),
    "page at another package": ("experiment/x", "# @package _global_.hydra\ncallbacks: {x: y}"),
    "group at another package": (
        "experiment/x",
        f"{GLOBAL}defaults: [{{/experiment@hydra.callbacks.x: y}}]",
    ),
    "page at Hydra's package": ("experiment/x", f"{GLOBAL}defaults: ['y@hydra.callbacks']"),
    "choice of callbacks": (
        "experiment/x",
        f"{GLOBAL}defaults: [{{override /hydra/callbacks: x}}]",
    ),
    "defaults inside a part": (
        "experiment/x",
        f"{GLOBAL}model: {{neck: {{name: fpn, defaults: [{{/hydra/callbacks: x}}]}}}}",
    ),
    "YAML object": ("experiment/x", f"{GLOBAL}run_name: !!python/object/apply:canary.sing []"),
    "YAML name": ("experiment/x", f"{GLOBAL}run_name: !!python/name:canary.sing ''"),
}


@pytest.mark.parametrize(
    "multirun", [[], pytest.param(["-m"], marks=pytest.mark.slow)], ids=["run", "sweep"]
)
@pytest.mark.parametrize(("page", "text"), PAGES.values(), ids=PAGES)
# pain 19
def test_a_page_runs_nothing(
    work: Path, refused: Callable[..., str], page: str, text: str, multirun: list[str]
) -> None:
    write(work / "conf", page, text)
    assert "refused" in refused("train", *multirun, "experiment=x")
    (work / "conf").rename(work / "named")
    assert "refused" in refused("train", *multirun, "--config-dir", "named", "experiment=x")


# pain 19
def test_a_page_outside_the_folders_is_not_found(work: Path, refused: Callable[..., str]) -> None:
    write(work, "loose", f"{TARGET}\n")
    write(work / "conf", "model/x", "neck: fpn\n")
    assert "there is no 'loose'" in refused("train", "model=../../loose")
    write(work / "conf", "experiment/x", f"{GLOBAL}defaults: [{{override /model: ../../loose}}]\n")
    assert "refused" in refused("train", "experiment=x")


@pytest.mark.parametrize(
    "group", ["launcher", "sweeper", "job_logging", "hydra_logging", "callbacks", "env", "help"]
)
# pain 19
def test_a_users_folder_holds_none_of_hydras_pages(
    work: Path, refused: Callable[..., str], group: str
) -> None:
    write(work / "conf", f"hydra/{group}/mine", f"{TARGET}\n")
    shown = refused("train", "-m", "--config-dir", "conf", f"hydra/{group}=mine", "seed=1")
    assert "refused" in shown


WORDS = [
    "+hydra.callbacks.x._target_=canary.sing",
    "+hydra.callbacks={x: {_target_: canary.sing}}",
    "++hydra={callbacks: {x: {_target_: canary.sing}}}",
    '+hydra.callbacks.x="${oc.create:\\"{_target_: canary.sing}\\"}"',
    "hydra.launcher._target_=canary.sing",
    "hydra.launcher={_target_: canary.sing}",
    "hydra.launcher=${model}",
    "hydra.sweeper._target_=canary.sing,canary.sing",
    "+hydra.sweeper.params.hydra.job_logging.x=1",
    "hydra.job_logging={version: 1, handlers: {x: {class: canary.sing}}}",
    "+hydra.job_logging.handlers.x.class=canary.sing",
    "hydra.job.env_set={PYTHONPATH: evil}",
    "hydra.searchpath=[pkg://canary]",
    "+model.neck._target_=canary.sing",
    "model.neck={name: fpn, a: [{_target_: canary.sing}]}",
    "model.neck=choice({_target_: canary.sing},{name: fpn})",
    "+experiment@hydra.callbacks.x=demo",
    "model@_global_.hydra=fcos",
    "hydra/callbacks=x",
    "hydra/env=x",
    "~hydra.callbacks",
]


@pytest.mark.parametrize("multirun", [[], ["-m"]], ids=["run", "sweep"])
@pytest.mark.parametrize("word", WORDS)
# pain 19
def test_a_word_runs_nothing(refused: Callable[..., str], word: str, multirun: list[str]) -> None:
    assert "refused" in refused("train", *multirun, word)


@pytest.mark.parametrize(
    "flags",
    [
        ["--experimental-rerun", "x.pickle"],
        ["--experimental-rerun=x.pickle"],
        ["--experimental-r", "x.pickle"],
        ["--config-path", "named"],
        ["-cp", "named"],
        ["--config-name=x"],
    ],
)
# pain 19
def test_flags_that_read_other_files_are_refused(
    refused: Callable[..., str], flags: list[str]
) -> None:
    shown = refused("train", "-m", *flags, "seed=1")
    refusals = ("error: --config-", "error: -cp: use", "error: there is no flag")
    assert shown.startswith(refusals)


# pain 19
def test_a_strangers_folder_imports_no_plugin(work: Path, refused: Callable[..., str]) -> None:
    write(work / "named", "experiment/x", f"{GLOBAL}plugins: [canary]\n")
    shown = refused("config", "--config-dir", "named", "experiment=x")
    assert "plugins=[canary]" in shown, "says how to allow it"


def test_the_users_own_word_allows_a_plugin(work: Path, capsys: pytest.CaptureFixture) -> None:
    write(work / "named", "experiment/x", f"{GLOBAL}plugins: [canary]\n")
    words = ["config", "--config-dir", "named", "experiment=x", "plugins=[canary]"]
    assert main(words) == 0
    assert (work.parent / "trace").read_text() == "imported"


# pain 19
def test_a_strangers_page_reads_no_environment(
    work: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "hush")
    for text in ("${oc.env:PASSWORD}", "${oc.${seed}:PASSWORD}", "${oc.decode:'${oc.env:X}'}"):
        write(work / "named", "experiment/x", f'{GLOBAL}run_name: "{text}"\n')
        shown = refused("config", "--config-dir", "named", "experiment=x")
        assert "refused" in shown
        assert "hush" not in shown


def test_the_users_own_page_may_read_the_environment(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_DATA", "somewhere")
    write(work / "conf", "experiment/x", f"{GLOBAL}data: {{path: '${{oc.env:MY_DATA}}'}}\n")
    assert main(["config", "experiment=x"]) == 0
    assert "path: somewhere" in capsys.readouterr().out


def test_harmless_settings_of_hydra_are_taken(work: Path) -> None:
    text = "hydra: {sweep: {subdir: '${hydra.job.num}'}, sweeper: {max_batch_size: 2}}\n"
    write(work / "conf", "experiment/x", GLOBAL + text)
    words = ["experiment=x", "hydra.sweep.dir=here", "hydra/launcher=basic"]
    assert multirun("train", compose.prepare(words)).folder == "here"


@pytest.mark.parametrize(
    "damage",
    [
        {"model": {"name": "one_stage", "_target_": "canary.sing"}},
        {"model": {"name": "one_stage", "defaults": [{"/hydra/callbacks": "x"}]}},
        {"run_name": "${oc.env:HOME}"},
        {"data": {"path": "${oc.env:HOME}"}},
        {"trainer": {"()": "canary.sing"}},
    ],
)
# pain 19
def test_a_checkpoint_runs_nothing(work: Path, refused: Callable[..., str], damage: dict) -> None:
    config = {"plugins": ["canary"], **damage}
    with pytest.raises(ConfigError, match="refused"):
        compose.compose("resume", [], config)
    record = {"config": config, "class_names": ["a"], "category_ids": [1], "version": "0"}
    torch.save({"state_dict": {}, "detkit": record}, "x.ckpt")
    for command in ("config", "evaluate", "train"):
        refused(command, "ckpt=x.ckpt")


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("plugins: [canary]", r"plugins=\[canary\]"),
        (f"trainer: {{{TARGET}}}", "refused"),
        ("model: !!python/object/apply:canary.sing []", "refused"),
        ("model: {name: one_stage, neck: {name: canary.sing}}", "there is no neck 'canary.sing'"),
    ],
)
# pain 19
def test_a_run_folder_edited_by_hand_runs_nothing(work: Path, added: str, message: str) -> None:
    (work / "config.yaml").write_text(f"{added}\n")
    with pytest.raises(UserError, match=message):
        read_frozen(work)
    assert not (work.parent / "trace").exists()


def test_a_process_that_a_command_starts_may_load_its_plugins(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "config.yaml").write_text("plugins: [canary]\n")
    monkeypatch.setenv("DETKIT_PLUGINS", "")
    for name, value in for_child(["canary"]).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        read_frozen(work)  # as far as the check, which misses the rest of the configuration
    assert "canary" not in str(caught.value)
    assert (work.parent / "trace").read_text() == "imported"

"""Bad pages and words, from the command line: exit code 2, one clear text, no traceback."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from detkit.cli.main import main
from detkit.runs.frozen_config import read_frozen
from detkit.sweeps.jobs.job import Job

GLOBAL = "# @package _global_\n"
CHAIN = "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
PAGES = {
    "a list": ("- a\n- b\n", r"conf/experiment/x\.yaml: a page must be a mapping .*, got a list"),
    "a value": ("hello\n", r"a page must be a mapping of keys to values, got a single value"),
    "not UTF-8": (b"seed: 1\nrun_name: \xff\n", r"x\.yaml, line 3: is not UTF-8 text"),
    "tabs": ("model:\n\tneck: fpn\n", r"x\.yaml, line 3: .*Indent with spaces, not with tabs"),
    "a key twice": (
        "model:\n  neck:\n    out_channels: 1\n    out_channels: 2\n",
        r"x\.yaml, line 5: the key 'model\.neck\.out_channels' is already on line 4",
    ),
    "megabytes": ("# line\n" * 1_500_000, r"has 10,500,020 bytes; a page .* at most 256,000"),
    "deep mappings": ("model: " + "{a: " * 300 + "1" + "}" * 300, r"nested more than 40 levels"),
    "deep lists": ("plugins: " + "[" * 9000 + "]" * 9000, r"nested more than 40 levels"),
    "aliases without end": (
        f"a: &a [1, 1, 1, 1, 1, 1, 1]\n{CHAIN}",
        r"holds more than 20,000 values once its aliases are written out",
    ),
    "an alias of itself": ("a: &a [*a]\n", r"line 2: a value holds itself"),
    "no such alias": ("a: *nowhere\n", r"line 2: this is not valid YAML: .*undefined alias"),
    "two documents": (
        "seed: 1\n---\nseed: 2\n",
        r"line 3: this is not valid YAML.*another document",
    ),
    "a control character": ("run_name: \x00\n", r"control characters are not allowed"),
    "a key that is a list": ("? [a, b]\n: c\n", r"line 2: a key must be a word"),
    "a key that is null": ("null: c\n", r"this is not a valid page: Incompatible key type"),
    "an endless number": (f"seed: {'9' * 5000}\n", r"this is not a valid page: Exceeds the limit"),
    "a cut interpolation": ("run_name: ${\n", r"this is not a valid page: no viable alternative"),
    "a missing interpolation": (
        "run_name: ${nowhere.x}\n",
        r"run_name: .*key 'nowhere\.x' not found\. \(conf/experiment/x\.yaml, line 2\)$",
    ),
    "interpolations in a circle": (
        "run_name: ${run_folder}\nrun_folder: ${run_name}\n",
        "ecursive",
    ),
    "an absent variable": ("run_name: ${oc.env:NOPE}\n", r"variable 'NOPE' not found.*line 2"),
    "an unknown resolver": ("run_name: ${foo:1}\n", r"Unsupported interpolation type foo"),
    "a dotted key": (
        "model.neck.out_channels: 64\n",
        r"nested, not dotted: write model: \{neck: \{out_channels: \.\.\.\}\}",
    ),
    "a key with a space": ("max epochs: 3\n", r"max epochs: unknown key\..*x\.yaml, line 2"),
    "a key in another script": ("sëed: 1\n", r"sëed: unknown key\. Did you mean 'seed'"),
    "a long value": (f"seed: {'y' * 5000}\n", r"got 'y{99}\.\.\., 5,002 characters \(str\)"),
    "NaN": ("optimizer: {learning_rate: .nan}\n", r"expected float > 0, got nan"),
    "a list for a part": (
        "model: {neck: [1]}\n",
        r"model\.neck: expected a mapping of keys to values, got a list\. \(conf.*line 2\)",
    ),
    "a list for a block": ("data: [1]\n", r"data: expected a mapping .*, got a list\. \(conf"),
    "a list for a transform": (
        "augmentation: {train: {flip: [1]}}\n",
        r"augmentation\.train\.flip: expected a mapping .*, got a list",
    ),
    "a list for a callback": (
        "callbacks: {pictures: [1]}\n",
        r"callbacks\.pictures: expected a map",
    ),
    "defaults as text": ("defaults: model\n", r"defaults: expected a list of page names"),
    "defaults as a mapping": (
        "defaults: {model: fcos}\n",
        r"defaults: expected a list of page names",
    ),
    "two groups in one entry": (
        "defaults: [{a: b, c: d}]\n",
        r"'\{'a': 'b', 'c': 'd'\}' is no entry",
    ),
    "numbers in defaults": ("defaults: [3, [1], null]\n", r"3 problems:\n.*'3' is no entry"),
    "a page that is not there": ("defaults: [small]\n", r"no 'small'\. Did you mean 'small_data'"),
    "a choice that is not there": (
        "defaults: [{override /model: fco}]\n",
        r"model: there is no 'fco'\. Did you mean 'fcos'",
    ),
    "a group that is not there": (
        "defaults: [{override /modell: fcos}]\n",
        r"Could not override 'modell'.*Did you mean 'model'",
    ),
    "a name that is empty": (
        "model: {neck: {name: ''}}\n",
        r"model\.neck\.name: a neck needs a name",
    ),
}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("detkit.cli.train.start", lambda *_, **__: (None, 0))
    (tmp_path / "conf/experiment").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def refused(work: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: str) -> str:
        started = time.monotonic()
        assert main(list(words)) == 2
        assert time.monotonic() - started < 30
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert len(captured.err) < 12_000
        return captured.err

    return run


@pytest.mark.parametrize(("text", "message"), PAGES.values(), ids=PAGES)
def test_a_bad_page_is_one_clear_error(
    work: Path, refused: Callable[..., str], text: str | bytes, message: str
) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    (work / "conf/experiment/x.yaml").write_bytes(GLOBAL.encode() + content)
    shown = refused("config", "experiment=x")
    assert re.search(message, shown.strip(), re.MULTILINE), shown


WORDS = {
    "seed": r"cannot read 'seed': it has no '='; write seed=\.\.\.",
    "trainr": r"it has no '='; write trainer=\.\.\.",
    "sëed=1": r"cannot read 'sëed=1': token recognition error",
    "max epochs=1": r"cannot read 'max epochs=1'",
    "run_name=(((": r"cannot read 'run_name=\(\(\('",
    "run_name=" + "[" * 4000: r"cannot read 'run_name=\[{20}.*\.\.\.': ",
    "model.neck=[1]": r"model\.neck: expected a mapping .*, got a list\. \(command line\)",
    "trainer=3": r"trainer=3: choose an option of 'trainer' by its name",
    "trainer.max_epochs=": r"trainer\.max_epochs: expected int > 0 or null, got ''",
    "trainer.max_epochs=1e99999": r"expected int > 0 or null, got inf",
    "seed=運行": r"seed: expected int >= 0, got '運行'",
    "--confg-dir": r"there is no flag '--confg-dir'\. Did you mean '--config-dir'",
    "--config-dir=nowhere": r"--config-dir: there is no folder 'nowhere'",
    "-m": r"'-m' is a flag of `detkit train` only",
    "": r"cannot read ''",
    "=3": r"=3: choose an option",
}


@pytest.mark.parametrize(("word", "message"), WORDS.items(), ids=[word[:20] for word in WORDS])
def test_a_bad_word_is_one_clear_error(
    refused: Callable[..., str], word: str, message: str
) -> None:
    assert re.search(message, refused("config", word))


def test_all_bad_words_are_named_at_once(refused: Callable[..., str]) -> None:
    shown = refused("config", "seed", "sëed=1", "hydra.searchpath=[x]")
    assert "3 problems" in shown


@pytest.mark.parametrize(
    ("first", "second", "circle"),
    [
        ("[x]", "[]", "experiment/x -> experiment/x ("),
        ("[y]", "[x]", "experiment/x -> experiment/y -> experiment/x ("),
        ("[/experiment/y]", "[{/debug: z}, x]", "experiment/x -> experiment/y -> experiment/x ("),
        ("[{/experiment: y}]", "[]", "experiment/x -> experiment/x ("),  # the command line chose x
    ],
)
def test_pages_that_include_each_other_are_named(
    work: Path, refused: Callable[..., str], first: str, second: str, circle: str
) -> None:
    (work / "conf/experiment/x.yaml").write_text(f"{GLOBAL}defaults: {first}\n")
    (work / "conf/experiment/y.yaml").write_text(f"{GLOBAL}defaults: {second}\n")
    (work / "conf/debug").mkdir()
    (work / "conf/debug/z.yaml").write_text(GLOBAL)
    shown = refused("config", "experiment=x")
    turned = circle.translate(str.maketrans("xy", "yx")).replace("eyperiment", "experiment")
    assert f"in a cycle: {circle}" in shown or f"in a cycle: {turned}" in shown
    assert "conf/experiment/x.yaml" in shown


@pytest.mark.parametrize("place", ["", "trainer:\n"], ids=["root", "block"])
def test_a_thousand_unknown_keys_are_a_screen_of_text(
    work: Path, refused: Callable[..., str], place: str
) -> None:
    indent = "  " if place else ""
    keys = "".join(f"{indent}max_epoch_{number}: {number}\n" for number in range(1000))
    (work / "conf/experiment/x.yaml").write_text(f"{GLOBAL}{place}{keys}")
    shown = refused("config", "experiment=x")
    assert "1,000 problems" in shown
    assert "... and 980 more" in shown
    assert len(shown.splitlines()) == 22


def test_a_page_without_its_header_says_so(work: Path, refused: Callable[..., str]) -> None:
    (work / "conf/experiment/x.yaml").write_text("seed: 1\n")
    assert "must be '# @package _global_'" in refused("config", "experiment=x")
    (work / "conf/experiment/x.yaml").write_text("# @package a b\nseed: 1\n")
    assert "its header cannot be read: Too many components" in refused("config", "experiment=x")


def test_wrong_types_everywhere_are_named_at_once(work: Path, refused: Callable[..., str]) -> None:
    text = """\
seed: abc
trainer: {max_epochs: two, devices: [1]}
run_name: [1]
plugins: 3
model: {backbone: 1.5, head: {name: {a: b}}}
callbacks: 5
optimizer: 7
metric: {name: [1]}
"""
    (work / "conf/experiment/x.yaml").write_text(GLOBAL + text)
    shown = refused("config", "experiment=x")
    for path in ("seed", "trainer.max_epochs", "trainer.devices", "run_name", "plugins"):
        assert f" {path}: expected " in shown
    for path in ("model.backbone", "model.head.name", "callbacks", "optimizer", "metric.name"):
        assert f" {path}: " in shown


def test_an_empty_page_is_a_page(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "conf/experiment/x.yaml").write_bytes(b"\xef\xbb\xbf" + GLOBAL.encode())
    assert main(["config", "experiment=x"]) == 0


@pytest.mark.slow
def test_a_wrong_value_in_one_job_is_found_before_the_first_job(
    work: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Job] = []
    monkeypatch.setattr(
        "detkit.sweeps.jobs.run_jobs.run", lambda _, jobs, pool: started.extend(jobs)
    )
    shown = refused("train", "-m", "seed=1,2", "model=fcos,atss", "trainer.max_epochs=1,none")
    assert "trainer.max_epochs: expected int > 0 or null, got 'none'" in shown
    assert "(job seed=1 model=fcos trainer.max_epochs=none)" in shown
    assert shown.count("max_epochs: expected") == 1
    assert not started


@pytest.mark.slow
def test_sweep_of_good_values_starts_every_job(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Job] = []
    monkeypatch.setattr(
        "detkit.sweeps.jobs.run_jobs.run", lambda _, jobs, pool: started.extend(jobs)
    )
    assert main(["train", "-m", "seed=1,2", "model=fcos,atss"]) == 0
    frozen = [read_frozen(job.folder) for job in started]
    chosen = [(each["seed"], each["model"]["head"]["assigner"]["name"]) for each in frozen]
    assert chosen == [(1, "fcos"), (1, "atss"), (2, "fcos"), (2, "atss")]

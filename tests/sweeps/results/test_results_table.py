"""`detkit sweep table` on folders written by hand."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

import detkit
from detkit.cli.sweep_table import run
from detkit.errors import UserError
from detkit.runs.progress_file import Status, write_status
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.sweeps.results.curve_chart import nice_step
from detkit.sweeps.results.sweep_summary import summary_lines

NASTY = "<script>alert('\"&')</script>"


def add_job(
    folder: Path,
    words: list[str],
    state: str = "done",
    ap: tuple[float, ...] = (),
    **more: Any,
) -> Path:
    """A job's folder with validations of these APs in epochs 1, 2, ...; AP50 is twice the AP."""
    name = ",".join(words).replace("/", ".").translate(str.maketrans("", "", "<>\"'&()")) + "_0a1b"
    job = folder / name
    job.mkdir(parents=True)
    record = {"id": "0a1b", "words": words, "state": state, "seconds": 90.0, **more}
    (job / "job.json").write_text(json.dumps(record))
    values = dict(word.split("=", 1) for word in words)
    model = {"neck": {"name": values.get("model/neck", "fpn")}}
    config = {"model": model, "seed": int(values.get("seed", 0)), "data": {"batch_size": 4}}
    (job / "config.yaml").write_text(yaml.safe_dump(config))
    lines = ["step,epoch,loss,val/AP,val/AP50"]
    for epoch, number in enumerate(ap):
        lines += [f"{epoch},{epoch},0.5,,", f"{epoch},{epoch},,{number},{2 * number}"]
    (job / "metrics.csv").write_text("\n".join(lines) + "\n")
    if state == "done":
        numbers = {"AP": max(ap), "AP50": 2 * max(ap), "AP75": 0.1, "AP_large": None}
        (job / "metrics.json").write_text(json.dumps({**numbers, "AP/dog": 0.3, "analysis": {}}))
        (job / "report.html").write_text("")
    sweep = folder / "sweep.json"
    empty = {
        "command": f"detkit sweep {NASTY}",
        "words": [],
        "swept": [],
        "started": "",
        "jobs": [],
    }
    content = json.loads(sweep.read_text()) if sweep.exists() else empty
    content["jobs"].append(name)
    sweep.write_text(json.dumps(content))
    return job


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Six jobs, one of each state, and a second seed of the first."""
    folder = tmp_path / "sweep"
    add_job(folder, ["model/neck=fpn", "seed=1"], ap=(0.1, 0.3, 0.2))
    add_job(folder, ["model/neck=fpn", "seed=2"], ap=(0.1, 0.2, 0.2))
    add_job(folder, ["model/neck=pan", "seed=1"], "pruned", ap=(0.05, 0.08))
    add_job(folder, ["model/neck=pan", "seed=2"], "failed", ap=(0.35,), error=f"error: {NASTY}")
    add_job(folder, [f"model/neck={NASTY}", "seed=1"], "running", ap=(0.4, 0.38))
    add_job(folder, [f"model/neck={NASTY}", "seed=2"], "waiting", seconds=0.0)
    return folder


def table(capsys: pytest.CaptureFixture[str], *words: str) -> list[list[str]]:
    """The cells of the printed table."""
    assert run([*words]) == 0
    return [line.split() for line in capsys.readouterr().out.split("\n\n")[0].splitlines()]


def test_best_epoch_so_far_and_state_of_each_job(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads, *rows = table(capsys, str(sweep))
    assert heads == ["model/neck", "seed", "AP", "AP50", "epoch", "minutes", "state"]
    assert rows == [
        # Nobody holds the lock of the job that says it runs, so whoever ran it was killed.
        [NASTY, "1", "0.4000", "0.8000", "1", "1.5", "stopped"],
        ["pan", "2", "0.3500", "0.7000", "1", "1.5", "failed"],
        ["fpn", "1", "0.3000", "0.6000", "2", "1.5", "done"],
        ["fpn", "2", "0.2000", "0.4000", "3", "1.5", "done"],
        ["pan", "1", "0.0800", "0.1600", "2", "1.5", "pruned"],
        [NASTY, "2", "waiting"],
    ]


def test_job_that_runs_is_shown_as_running(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = json.loads((sweep / "sweep.json").read_text())["jobs"][4]
    held = Job(sweep / name, id="0a1b").take()
    assert held is not None
    with held:
        assert table(capsys, str(sweep), "where=state=running")[1][2] == "0.4000"


def test_numbers_of_a_finished_job_come_from_its_checkpoint(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = json.loads((sweep / "sweep.json").read_text())["jobs"][0]
    (sweep / name / "metrics.json").write_text('{"AP": 0.31, "AP75": 0.2}')
    rows = table(capsys, str(sweep), "where=state=done", "metric=AP75")
    assert rows[0][2:5] == ["AP75", "AP", "AP50"]
    assert rows[1][2:5] == ["0.2000", "0.3100", "0.6000"]


def test_best_epoch_is_by_the_number_that_chose_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = add_job(tmp_path, ["seed=1"], "stopped", ap=(0.2, 0.1))
    callbacks = {"saving": {"name": "checkpoints", "monitor": "val/AP50"}, "progress": None}
    (job / "config.yaml").write_text(yaml.safe_dump({"callbacks": callbacks}))
    rows = "step,epoch,val/AP,val/AP50\n1,0,0.2,0.3\n2,1,0.1,0.5\n3,2,,\n4,3,0.9"  # cut off
    (job / "metrics.csv").write_text(rows)
    assert table(capsys, str(tmp_path))[1][1:4] == ["0.1000", "0.5000", "2"]
    (job / "metrics.csv").write_text("step,epoch,val/AP,val/AP50\n1,0,0,0\n2,1,0,0\n")
    assert table(capsys, str(tmp_path))[1][3] == "2"  # of equal ones the later


@pytest.mark.parametrize(
    ("words", "column", "expected"),
    [
        (["sort=seed", "where=AP>0"], 1, ["1", "1", "1", "2", "2"]),
        (["sort=-AP", "where=AP>0"], 2, ["0.0800", "0.2000", "0.3000", "0.3500", "0.4000"]),
        (["where=AP<=0.3", "where=state!=pruned"], 2, ["0.3000", "0.2000"]),
        (["where=model/neck=pan", "where=seed=2.0"], 2, ["0.3500"]),
        (["where=AP50=0.6"], 2, ["0.3000"]),
    ],
)
def test_sorted_and_filtered(
    words: list[str],
    column: int,
    expected: list[str],
    sweep: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [row[column] for row in table(capsys, str(sweep), *words)[1:]] == expected


def test_failed_and_unfinished_jobs_are_listed(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run([str(sweep)])
    shown = capsys.readouterr().out
    assert f"model.neck=pan,seed=2_0a1b: error: {NASTY}" in shown
    assert "Computed from the finished jobs: 2 of 6 jobs." in shown
    assert "Pruned jobs are left out" in shown
    assert "Spread over seeds: 0.0707" in shown
    assert f"{sweep}/table.csv, {sweep}/table.html" in shown
    run([str(sweep), "where=seed=1"])
    assert "the spread over seeds is unknown" in capsys.readouterr().out
    run([str(sweep), "where=seed=7"])
    assert capsys.readouterr().out == "no job of the sweep meets the conditions\n"


def test_key_that_an_earlier_job_did_not_name_is_that_of_its_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_job(tmp_path, ["seed=1"], ap=(0.2,))
    add_job(tmp_path, ["seed=1", "model/neck=pan", "data.batch_size=8"], ap=(0.3,))
    rows = table(capsys, str(tmp_path))
    assert rows[0][:2] == ["model/neck", "data.batch_size"]
    assert [row[:2] for row in rows[1:]] == [["pan", "8"], ["fpn", "4"]]


def test_number_that_was_drawn_is_rounded_for_a_reader_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, rate in enumerate(["0.00012345678", "3e-4"]):
        add_job(tmp_path, [f"optimizer.learning_rate={rate}", f"seed={seed}"], ap=(0.2,))
    rows = table(capsys, str(tmp_path), "where=optimizer.learning_rate<1", "sort=seed")
    assert [row[0] for row in rows[1:]] == ["0.0001235", "3e-4"]
    assert "0.00012345678" in (tmp_path / "table.csv").read_text()


def test_damaged_job_is_a_row_and_the_others_are_shown(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, *_ = json.loads((sweep / "sweep.json").read_text())["jobs"]
    (sweep / first / "job.json").write_text('{"words": ')
    shutil.rmtree(sweep / second)
    (sweep / "model.neck=pan,seed=1_0a1b" / "metrics.csv").write_bytes(b"\xff\xfe\x00")
    run([str(sweep)])
    shown = capsys.readouterr().out
    assert [line.split()[-1] for line in shown.splitlines()[1:7]].count("damaged") == 2
    assert f"{first}: {first}/job.json cannot be read" in shown
    assert "pruned" in shown


def test_folders_other_than_sweeps_are_refused(sweep: Path, tmp_path: Path) -> None:
    name = json.loads((sweep / "sweep.json").read_text())["jobs"][0]
    with pytest.raises(UserError, match="this is one of its jobs; the sweep is"):
        run([str(sweep / name)])
    with pytest.raises(UserError, match=r"is no folder of a sweep \(it has no sweep.json\): give"):
        run([str(tmp_path)])
    config = {"model": {}, "data": {}, "run_folder": "x"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="it holds a single run"):
        run([str(tmp_path)])
    for damaged in ('{"jobs": ["../elsewhere"]}', "[1]", "{"):
        (sweep / "sweep.json").write_text(damaged)
        with pytest.raises(UserError, match="is damaged, no record of a sweep"):
            run([str(sweep)])


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("metric=AP57", "metric=AP57: no job has such a number. Did you mean 'AP75'?"),
        ("sort=model/nek", "sort=model/nek: there is no such column. Did you mean 'model/neck'?"),
        ("where=AP", "where=AP: cannot be read: write COLUMN=VALUE"),
        ("where=AP>high", "'>' compares with a number, got 'high'"),
        ("where=ap>1", "where=ap: there is no such column."),
        ("sorted=AP", "has no option 'sorted'. Did you mean 'sort'?"),
        ("other", "needs one folder of a sweep, got 2"),
    ],
)
def test_wrong_words_are_told(word: str, message: str, sweep: Path) -> None:
    with pytest.raises(UserError) as raised:
        run([str(sweep), word])
    assert message in str(raised.value)


def test_csv_has_all_digits_and_the_errors(sweep: Path) -> None:
    run([str(sweep), "sort=seed", "where=state=failed"])
    with (sweep / "table.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["job"] == "model.neck=pan,seed=2_0a1b"
    assert (row["AP"], row["AP50"], row["error"]) == ("0.35", "0.7", f"error: {NASTY}")


class Elements(HTMLParser):
    """All elements with their attributes; raises for unclosed ones."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_page_is_whole_escaped_and_needs_nothing_else(sweep: Path) -> None:
    run([str(sweep)])
    page = Elements()
    page.feed((sweep / "table.html").read_text())
    assert not page.open
    assert page.named("script") == [{"type": "application/json", "id": "data"}, {}]
    assert not [a for _, a in page.found if {"src", "srcset", "onclick", "onerror"} & a.keys()]
    assert not page.named("link")
    links = {anchor["href"] for anchor in page.named("a")}
    assert links == {f"model.neck%3Dfpn%2Cseed%3D{seed}_0a1b/report.html" for seed in (1, 2)}
    rows = [row for row in page.named("tr") if "data-job" in row]
    assert len(rows) == 6
    assert NASTY in page.texts  # as text, so it was escaped
    assert f"detkit sweep {NASTY}" in page.texts
    curves = [group for group in page.named("g") if "curve" in str(group["class"])]
    assert [curve["data-job"] for curve in curves] == [row["data-job"] for row in rows[:5]]
    assert len(page.named("circle")) == 3 + 3 + 2 + 1 + 2
    values = [cell["data-value"] for cell in page.named("td") if "data-value" in cell]
    assert values[:7] == [NASTY, "1", "0.4", "0.8", "1", "1.5", "stopped"]
    assert values[-7:] == [NASTY, "2", "", "", "", "", "waiting"]


def test_hostile_text_cannot_end_the_data_of_the_script(sweep: Path) -> None:
    run([str(sweep)])
    text = (sweep / "table.html").read_text()
    content = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    data = json.loads(content)
    assert data["colours"] == 6
    assert len(data["texts"]) == 6
    assert any(NASTY.lower() in searchable for searchable in data["texts"].values())
    assert "<" not in content


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to read JavaScript with")
def test_script_of_the_page_can_be_read() -> None:
    file = Path(detkit.__file__).parent / "visualization/templates/sweep.js"
    subprocess.run(["node", "--check", str(file)], check=True)


@pytest.mark.parametrize(
    ("least", "step"), [(0.0021, 0.005), (0.1, 0.1), (0.07, 0.1), (1.2, 2), (6, 10)]
)
def test_steps_of_an_axis_are_round(least: float, step: float) -> None:
    assert nice_step(least) == pytest.approx(step)


def test_a_running_job_shows_its_epoch_and_the_time_left(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = json.loads((sweep / "sweep.json").read_text())["jobs"][4]
    write_status(sweep / name, Status(3, 12, 0.2, 725.0))
    held = Job(sweep / name, id="0a1b").take()
    assert held is not None
    with held:
        assert run([str(sweep), "where=state=running"]) == 0
        heads, row = capsys.readouterr().out.splitlines()[:2]
        assert heads.endswith("state    progress")
        assert row.endswith("running  epoch 3/12, 12 min left")
        assert "epoch 3/12, 12 min left" in (sweep / "table.html").read_text()
        lines = summary_lines(SweepFolder.open(sweep))
        assert any("running, epoch 3/12, 12 min left" in line for line in lines)


# pain 56
def test_the_page_says_how_curves_and_table_differ(sweep: Path) -> None:
    name = json.loads((sweep / "sweep.json").read_text())["jobs"][0]
    run([str(sweep)])
    assert "The two agree for every finished job." in (sweep / "table.html").read_text()
    (sweep / name / "metrics.json").write_text('{"AP": 0.3125}')
    run([str(sweep)])
    page = (sweep / "table.html").read_text()
    assert f"They differ by up to 0.0125 ({name}: +0.0125)" in page

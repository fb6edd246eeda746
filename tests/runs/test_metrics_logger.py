from training_fakes import Batches, batches, cpu_trainer, tiny_module

from detkit.runs.metrics_logger import MetricsFile, read_metrics
from detkit.training.fit import fit


def test_columns_stay_and_new_ones_come_last(tmp_path):
    file = MetricsFile(run_folder=str(tmp_path))
    file.log_metrics({"loss": 0.5, "epoch": 0}, step=1)
    file.log_metrics({"val/AP": 0.25, "epoch": 0}, step=1)
    file.log_metrics({"loss": 0.4, "epoch": 1}, step=3)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "step,epoch,seconds,loss,val/AP"
    assert [list(row.values()) for row in read_metrics(file.path)] == [
        ["1", "1", "0.5", ""],
        ["1", "1", "", "0.25"],
        ["3", "2", "0.4", ""],
    ]


def test_rows_from_the_resumed_step_on_are_dropped(tmp_path):
    file = MetricsFile(run_folder=str(tmp_path))
    for step in (1, 3, 5):
        file.log_metrics({"loss": 0.5, "epoch": 0}, step=step)
    resumed = MetricsFile(run_folder=str(tmp_path))
    resumed.start_at(4)
    resumed.log_metrics({"loss": 0.1, "epoch": 0}, step=5)
    assert [(r["step"], r["loss"]) for r in read_metrics(resumed.path)] == [
        ("1", "0.5"),
        ("3", "0.5"),
        ("5", "0.1"),
    ]


def test_line_cut_off_by_a_kill_is_forgotten(tmp_path):
    file = MetricsFile(run_folder=str(tmp_path))
    file.log_metrics({"loss": 0.5, "epoch": 0}, step=1)
    with file.path.open("a") as opened:
        opened.write("3,0,0.")
    resumed = MetricsFile(run_folder=str(tmp_path))
    resumed.start_at(2)
    resumed.log_metrics({"loss": 0.4, "epoch": 0}, step=3)
    assert [row["loss"] for row in read_metrics(file.path)] == ["0.5", "0.4"]


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("detkit.runs.metrics_logger.time.monotonic", lambda: self.now)


def times(file):
    return [(row["seconds"], row.get("images/s", "")) for row in read_metrics(file.path, True)]


def test_rows_have_the_time_of_all_starts_and_the_speed_of_training(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    file = MetricsFile(run_folder=str(tmp_path))
    for name, images, seconds in (("loss", 8, 2.0), ("val/AP", 4, 9.0), ("loss", 8, 4.0)):
        file.count_images(images)
        clock.now += seconds
        file.log_metrics({name: 0.5, "epoch": 0}, step=1)
    assert times(file) == [("2.00", "4.00"), ("11.00", ""), ("15.00", "2.00")]
    resumed = MetricsFile(run_folder=str(tmp_path))
    clock.now += 1000.0
    resumed.start_at(2)
    resumed.count_images(3)
    clock.now += 1.0
    resumed.log_metrics({"loss": 0.4, "epoch": 0}, step=2)
    assert times(resumed)[-1] == ("16.00", "3.00")


def test_a_file_of_an_earlier_detkit_counts_epochs_from_one_after_resuming(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,epoch,loss\n0,0,0.5\n1,0,0.4\n2,1,0.3\n")
    resumed = MetricsFile(run_folder=str(tmp_path))
    resumed.start_at(2)
    assert [row["epoch"] for row in read_metrics(resumed.path)] == ["1", "1"]
    resumed.log_metrics({"loss": 0.2, "epoch": 1}, step=2)
    resumed.log_metrics({"val/AP": 0.2, "epoch": 1}, step=2)
    assert [row["epoch"] for row in read_metrics(resumed.path)] == ["1", "1", "2", "2"]


def test_class_names_with_commas_and_quotes_survive(tmp_path):
    file = MetricsFile(run_folder=str(tmp_path))
    file.log_metrics({'val/AP/dog, "big"': 0.5}, step=1)
    assert read_metrics(file.path)[0]['val/AP/dog, "big"'] == "0.5"


def test_new_run_in_an_old_folder_starts_a_new_file(tmp_path):
    for _ in range(2):
        fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=1), batches(4), Batches(9))
    steps = [(row["step"], bool(row["loss"])) for row in read_metrics(tmp_path / "metrics.csv")]
    assert steps == [("1", True), ("3", True), ("3", False)]


def test_validation_alone_adds_to_the_file(tmp_path):
    fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=1), batches(2))
    cpu_trainer(tmp_path).validate(tiny_module(), Batches(9), verbose=False)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [bool(row["val/AP"]) for row in rows] == [False, True]

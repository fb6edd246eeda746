"""A search whose jobs pretend to train, in processes of their own that can be killed.

`python pretended_search.py search FOLDER TRIALS PRUNER` or, for one job, `... job FOLDER`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

EPOCHS, SECONDS = 4, 0.3


def train(folder: Path) -> None:
    """Validate after each epoch; resume after the last validation of an earlier attempt."""
    file = folder / "metrics.csv"
    words = json.loads((folder / "job.json").read_text(encoding="utf-8"))["words"]
    if not file.is_file():
        file.write_text("step,epoch,val/AP\n", encoding="utf-8")
    for epoch in range(file.read_text(encoding="utf-8").count("\n") - 1, EPOCHS):
        time.sleep(SECONDS)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"{epoch},{epoch},{int(words[0].partition('=')[2]) / 100}\n")


def search(folder: Path, trials: int, pruner: str) -> None:
    """Search over `seed` in `folder`, possibly together with another process."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from detkit.config.sweep_options import DevicePoolOptions, OptunaOptions
    from detkit.sweeps.jobs.device_pool import DevicePool
    from detkit.sweeps.jobs.sweep_folder import SweepFolder
    from detkit.sweeps.search.optuna_study import StoredStudy
    from detkit.sweeps.search.search_space import read_space
    from detkit.sweeps.search.trial_runner import TrialRunner

    space = read_space(OverridesParser.create().parse_overrides(["seed=range(0,100)"]))
    study = StoredStudy(folder / "study.journal", space, sampler="random", pruner=pruner)
    jobs = SweepFolder.begin(folder, "", [])

    def queue(trial):
        seed = int(trial.words[0].partition("=")[2])
        config = {"seed": seed, "run_folder": "", "logger": None, "ckpt": None, "model": {}}
        config |= {"data": {}, "trainer": {"devices": 1}, "plugins": []}
        return jobs.queue([(config, trial.words)])[0]

    pool = DevicePool(
        DevicePoolOptions(devices="cpu", grace=5.0),
        command=lambda job: [sys.executable, __file__, "job", str(job.folder)],
    )
    with pool:
        TrialRunner(study, pool, queue, OptunaOptions(trials=trials)).run()


if __name__ == "__main__":
    place = Path(sys.argv[2])
    if sys.argv[1] == "job":
        train(place)
    else:
        search(place, int(sys.argv[3]), sys.argv[4])

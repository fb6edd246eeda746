"""The launcher of a process: detkit itself, torchrun, srun, or none."""

from pathlib import Path

import pytest

from detkit.cli.main import main
from detkit.errors import UserError
from detkit.processes import rank_environment

SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_NTASKS_PER_NODE": "2"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "3", "WORLD_SIZE": "4"}
OWN = {rank_environment.ERROR_VARIABLE: "error", "RANK": "3", "WORLD_SIZE": "4"}
BATCH_SCRIPT = {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "1"}
LEFT_OVER = {"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "4"}


@pytest.fixture
def variables(request, monkeypatch):
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("variables", [SRUN, TORCHRUN, OWN, {**OWN, **SRUN}], indirect=True)
def test_a_rank_knows_its_number_and_how_many_there_have_to_be(variables):
    assert rank_environment.is_rank()
    assert rank_environment.rank_number() == 3
    rank_environment.require_rank_count(2, 2)
    with pytest.raises(UserError, match=r"makes 2 processes, and 4 were started"):
        rank_environment.require_rank_count(2, 1)


@pytest.mark.parametrize("variables", [{}, BATCH_SCRIPT, LEFT_OVER], indirect=True)
def test_others_are_no_ranks(variables):
    assert not rank_environment.is_rank()
    assert rank_environment.rank_number() == 0


def test_srun_has_to_say_how_many_tasks_a_machine_has(monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(UserError, match="--nodes=2 --ntasks-per-node=2"):
        rank_environment.require_rank_count(2, 2)


@pytest.mark.parametrize("variables", [SRUN, TORCHRUN], indirect=True)
def test_detkit_train_is_not_started_by_others(variables, capsys):
    assert main(["train"]) == 2
    assert "type detkit train --freeze ... once" in capsys.readouterr().err


def test_a_run_for_several_machines_is_frozen_and_its_command_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["trainer.num_nodes=2", "trainer.devices=4", "run_folder=my run"]
    assert main(["train", *words]) == 0
    said = capsys.readouterr().out
    folder = f"'{tmp_path}/my run'"
    command = (
        "torchrun --nnodes=2 --nproc-per-node=4 --rdzv-backend=c10d --rdzv-endpoint=HOST:29400"
    )
    assert f"\n  {command} -m detkit.processes.run_frozen {folder}\n" in said
    assert [path.name for path in Path("my run").iterdir()] == ["config.yaml"]

"""Detect from environment variables who started this process as a rank: detkit, torchrun, srun."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from detkit.errors import UserError

ERROR_VARIABLE = "DETKIT_RANK_ERROR"  # file in which a rank leaves its error


def is_detkit_rank() -> bool:
    """Whether detkit itself started this process as a rank."""
    return ERROR_VARIABLE in os.environ


def is_torchrun_rank() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and not is_detkit_rank()


def is_slurm_rank() -> bool:
    """Whether srun started this process together with others.

    Reads the variables of a job step. Those of the whole job are also set in a batch script and in
    an interactive shell, which start no ranks.
    """
    launchers = (is_detkit_rank(), is_torchrun_rank())
    return _number("SLURM_STEP_NUM_TASKS", 1) > 1 and not any(launchers)


def is_rank() -> bool:
    """Whether a launcher started this process as one of several."""
    return is_detkit_rank() or is_torchrun_rank() or is_slurm_rank()


def rank_number() -> int:
    """The number of this process among all ranks; 0 if it is alone."""
    if is_slurm_rank():
        return _number("SLURM_PROCID", 0)
    return _number("RANK", 0) if is_rank() else 0


def require_rank_count(devices: int, num_nodes: int) -> None:
    """Refuse a number of ranks that differs from the configuration.

    Args:
        devices: Configured devices per machine.
        num_nodes: Configured machines.

    Raises:
        UserError: With both numbers and what to change.
    """
    if is_slurm_rank():
        started = _number("SLURM_STEP_NUM_TASKS", 1)
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise UserError(
                f"srun started {started} tasks but did not set how many run on each machine: start "
                f"them with --nodes={num_nodes} --ntasks-per-node={devices}."
            )
    else:
        started = _number("WORLD_SIZE", 1)
    if started != devices * num_nodes:
        raise UserError(
            f"trainer.num_nodes={num_nodes} with trainer.devices={devices} makes "
            f"{devices * num_nodes} processes, and {started} were started: start that many "
            "(--nproc-per-node of torchrun, --ntasks-per-node of srun), or freeze the run again "
            "with these numbers."
        )


def torchrun_command(folder: Path, devices: int | str, num_nodes: int) -> str:
    """The command to type on each machine; the user replaces HOST with the address of one."""
    per_node = "gpu" if devices == "auto" else devices
    rendezvous = "--rdzv-backend=c10d --rdzv-endpoint=HOST:29400"
    if num_nodes == 1:
        rendezvous = "--standalone"
    return (
        f"torchrun --nnodes={num_nodes} --nproc-per-node={per_node} {rendezvous} "
        f"-m detkit.processes.run_frozen {shlex.quote(str(folder))}"
    )


def _number(variable: str, default: int) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isdigit() else default

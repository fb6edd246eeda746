"""Train from a frozen configuration: `python -m detkit.processes.run_frozen FOLDER`.

On several devices of one machine it starts the ranks itself; on several machines, torchrun or srun
starts one such process for each rank. A run that has saved a checkpoint resumes from it.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Any

from torch.distributed.elastic.multiprocessing.errors import get_error_handler

from detkit.errors import Stopped, UserError
from detkit.interruption import STOP_SIGNALS, run_stoppable
from detkit.lasting_output import lasting_output
from detkit.processes import ranks
from detkit.processes.failures import RankLostError
from detkit.processes.frozen_training import run
from detkit.processes.rank_environment import (
    is_rank,
    is_torchrun_rank,
    rank_number,
    require_rank_count,
    torchrun_command,
)
from detkit.runs.frozen_config import read_frozen
from detkit.training.devices import device_count
from detkit.tuning.batch_size import settle


def main(words: list[str]) -> int:
    """Train a folder as a rank, as the parent of the ranks, or alone; return the exit code."""
    if len(words) != 1:
        print("usage: python -m detkit.processes.run_frozen FOLDER", file=sys.stderr)
        return 2
    folder = Path(words[0])
    try:
        if not is_rank():
            settle(folder)
        count = _ranks_to_start(read_frozen(folder)["trainer"], folder)
        if count > 1:
            return ranks.run_ranks(folder, count)
        run(folder)
    except UserError as error:
        return _failed(error, str(error), 2)
    except Stopped as stopped:
        if rank_number() == 0:
            print(stopped, file=sys.stderr)
        return stopped.exit_code
    except Exception as error:
        brief = f"{type(error).__name__}: {error}"
        return _failed(error, traceback.format_exc(), 1, brief)
    return 0


def _ranks_to_start(trainer: dict[str, Any], folder: Path) -> int:
    """The number of ranks that this process must start; 1 if it trains itself.

    Raises:
        UserError: A launcher started the wrong number of ranks, or the configuration needs one.
    """
    devices = device_count(trainer["devices"], trainer["accelerator"])
    if is_rank():
        require_rank_count(devices, trainer["num_nodes"])
        return 1
    if trainer["num_nodes"] > 1:
        raise UserError(
            f"trainer.num_nodes={trainer['num_nodes']}: on each of the machines, which must share "
            f"this folder, run: {torchrun_command(folder, devices, trainer['num_nodes'])}"
        )
    return devices


def _failed(error: Exception, text: str, code: int, brief: str = "") -> int:
    """Print an error, or hand it to the process that started the ranks; return the exit code."""
    follows = isinstance(error, RankLostError)
    if ranks.leave_error(text.strip(), code, brief, follows=follows):
        return code
    if is_torchrun_rank():
        get_error_handler().record_exception(error)  # torchrun shows it last
    of_rank = f" of rank {rank_number()}" if is_rank() else ""
    message = f"{text}error{of_rank}: {brief}" if brief else f"error{of_rank}: {text}"
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    with lasting_output():
        exit_code = run_stoppable(lambda: main(sys.argv[1:]), STOP_SIGNALS, ends_process=True)
    sys.exit(exit_code)

"""Use Hydra without disturbing whoever else uses it in this process.

Hydra keeps its state in singletons: the initialised application, the job's configuration, and the
version that it is compatible with. A program with its own `@hydra.main` may compose a detkit
configuration in the middle of its job.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase

from detkit.config.composition import composing, is_composing

# Reentrant, because a composition may import a plugin that composes.
LOCK = threading.RLock()


@contextmanager
def hydra_session() -> Iterator[None]:
    """Initialise Hydra for detkit's pages; at the end, restore what was there before.

    Only one thread at a time has a session.
    """
    with LOCK, nullcontext() if is_composing() else composing():
        singletons = GlobalHydra.instance(), HydraConfig.instance(), VersionBase.instance()
        states = [dict(vars(singleton)) for singleton in singletons]
        GlobalHydra.instance().clear()
        try:
            # Named after a module without pages: otherwise Hydra searches the source files of all
            # imported modules for the caller, which takes 50 ms.
            with hydra.initialize_config_module(
                "detkit.config", job_name="detkit", version_base="1.3"
            ):
                yield
        finally:
            GlobalHydra.set_instance(singletons[0])
            for singleton, state in zip(singletons, states, strict=True):
                vars(singleton).update(state)

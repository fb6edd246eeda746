"""The name under which job scripts of earlier versions start `detkit.processes.run_frozen`."""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    runpy.run_module("detkit.processes.run_frozen", run_name="__main__", alter_sys=True)

"""Job scripts of earlier versions start `python -m detkit.run_frozen`."""

import runpy


def test_the_earlier_name_starts_the_program(monkeypatch):
    started = []
    run_module = runpy.run_module
    monkeypatch.setattr(runpy, "run_module", lambda name, **_: started.append(name))
    run_module("detkit.run_frozen", run_name="__main__")
    assert started == ["detkit.processes.run_frozen"]

"""Contract of every registered callback and logger."""

from contract_cases import each_promise


@each_promise("callback")
def test_a_callback_keeps_its_contract(case):
    case()


@each_promise("logger", quick=["tensorboard"])  # wandb starts a process of its own
def test_a_logger_keeps_its_contract(case, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    case()

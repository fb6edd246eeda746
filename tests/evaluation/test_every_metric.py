"""Contract of every registered metric."""

from contract_cases import each_promise


@each_promise("metric")
def test_a_metric_keeps_its_contract(case):
    case()

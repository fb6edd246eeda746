"""Contract of every registered coder."""

from contract_cases import each_promise


@each_promise("box_coder")
def test_a_coder_keeps_its_contract(case):
    case()

"""Each writer keeps the contract of its family."""

from contract_cases import each_promise


@each_promise("writer")
def test_contract(case):
    case()

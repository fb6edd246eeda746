"""What holds for every registered sampler."""

from contract_cases import each_promise


@each_promise("sampler")
def test_a_sampler_keeps_its_contract(case):
    case()

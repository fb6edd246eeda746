"""Contract of every backbone; only two shallow ones by default, because deep ones take minutes."""

from contract_cases import each_promise


@each_promise(
    "backbone",
    needed={"timm": {"model": "mobilenetv3_small_050"}},
    quick=["shufflenet_v2_x0_5", "squeezenet1_1"],
)
# pain 15
def test_a_backbone_keeps_its_contract(case):
    case()

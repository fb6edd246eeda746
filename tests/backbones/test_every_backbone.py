"""What every backbone keeps; deep ones take minutes, so two shallow ones are tried by default."""

from contract_cases import each_promise


@each_promise(
    "backbone",
    needed={"timm": {"model": "mobilenetv3_small_050"}},
    quick=["shufflenet_v2_x0_5", "squeezenet1_1"],
    exported=["squeezenet1_1"],
)
# pain 15
def test_a_backbone_keeps_its_contract(case):
    case()

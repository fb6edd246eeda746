"""Contract of every registered neck."""

from contract_cases import builtin, each_promise

from detkit import registry
from detkit.config.pages import filled
from detkit.config.signatures import arguments

NARROW = {
    name: {"out_channels": 32}
    for name in builtin("neck")
    if "out_channels" in arguments(registry.get("neck", name))
}
SEQUENCE = {
    "necks": {
        "se": filled("neck", {"name": "se"}),
        "pan": filled("neck", {"name": "pan", "out_channels": 32}),
    }
}


@each_promise("neck", needed={**NARROW, "sequence": SEQUENCE}, exported=["fpn"])
# pain 15
def test_a_neck_keeps_its_contract(case):
    case()

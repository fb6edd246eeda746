"""What every neck keeps; the list grows with the registry."""

from contract_cases import each_promise

from detkit.config.pages import filled

SEQUENCE = {"necks": {name: filled("neck", {"name": name}) for name in ("se", "pan")}}


@each_promise("neck", needed={"sequence": SEQUENCE}, exported=["fpn"])
# pain 15
def test_a_neck_keeps_its_contract(case):
    case()

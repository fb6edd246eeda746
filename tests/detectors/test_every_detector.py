"""Contract of every registered detector, built from small parts; two stages take seconds."""

from contract_cases import each_promise

NECK = {"name": "fpn", "out_channels": 16}
BACKBONE = {"name": "shufflenet_v2_x0_5", "levels": [3, 4, 5]}
SMALL = {
    "one_stage": {
        "backbone": BACKBONE,
        "neck": NECK,
        "head": {"name": "fcos", "layers": {"convs": 1}},
    },
    "two_stage": {
        "backbone": BACKBONE,
        "neck": NECK,
        "roi_head": {"name": "standard", "box_head": {"name": "two_fc", "width": 16}},
    },
}


@each_promise("detector", needed=SMALL, quick=["one_stage"])
# pain 14
def test_a_detector_keeps_its_contract(case):
    case()

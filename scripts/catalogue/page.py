"""Write docs/catalogue.md: every system, how to use it, and what it was checked against.

    python scripts/catalogue/page.py                    the page, with the AP measured before
    python scripts/catalogue/page.py --train NAME ...   first train these detectors on `shapes`
    python scripts/catalogue/page.py --train all --minutes 3

`--train` trains the small version of each detector (`small` in systems.yaml) for the same minutes
on one thread, and keeps its AP in scripts/catalogue/results.json. The minutes are processor time,
so that other programs on the machine do not shorten a training.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

import detkit
from detkit import assembly, registry
from detkit.assembly import Classes
from detkit.config.docstrings import citation_of

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from train_by_processor_time import metrics_after  # noqa: E402

SYSTEMS = ROOT / "scripts" / "catalogue" / "systems.yaml"
RESULTS = ROOT / "scripts" / "catalogue" / "results.json"
PAGE = ROOT / "docs" / "catalogue.md"
DETECTORS = ("two stages", "one stage", "set prediction")
RECIPE = [
    *("data=shapes", "data.batch_size=8", "data.workers=0", "callbacks=average"),
    *("optimizer=adamw", "optimizer.learning_rate=0.002", "trainer.gradient_clip_norm=10.0"),
    *("trainer.max_epochs=100", "trainer.validate_every=100", "seed=0"),
]
HEAD = """\
# The catalogue

Made by `python scripts/catalogue/page.py` from `scripts/catalogue/systems.yaml`. Each row is a
system of the literature: what to type, its paper, and what it was compared with. `model=NAME` is a
whole detector, `family/name` a part that fits every slot of its family. The difference is the
largest one that the test allows; a row without a reference has only tests of its own (contract,
shapes, gradients, and for detectors: learning eight images by heart,
`tests/detectors/test_every_page_learns.py`).

Parameters are those of the first page, with 80 classes, or of the first backbone. AP on `shapes`
is COCO's, on the 200 validation images, after {minutes} minutes of processor time of training
from scratch on one thread with seed 0: the page with a small network (`small` in
`systems.yaml`), the same optimizer and batches of 8 for all. It shows that a page trains; minutes
of a CPU say little about which detector is better. Three minutes are one to six epochs of 1,500
images: too few for DETR, whose authors train for 500 epochs, and for the first YOLO. Both learn
eight images by heart. A DETR of 0.4 M parameters (one encoder layer, two decoder layers, width 64,
level 3) reaches AP 0.069 and AP50 0.164 on `shapes` of 64 pixels after 90 epochs. Empty: not
trained.
"""


def load_systems() -> list[dict[str, Any]]:
    systems: list[dict[str, Any]] = yaml.safe_load(SYSTEMS.read_text(encoding="utf-8"))
    return systems


def part_named(word: str) -> tuple[str, str] | None:
    """Family and name of a word such as `loss/focal`; None for overrides and commands."""
    family, _, name = word.partition("/")
    return (family, name) if name and family in registry.FAMILIES and "=" not in name else None


def paper_of(system: dict[str, Any]) -> str:
    """The paper that systems.yaml names, or those that the docstrings of its parts cite."""
    if "paper" in system:
        return str(system["paper"])
    parts = [part for part in map(part_named, system["use"]) if part]
    papers = [citation_of(registry.get(*part).__doc__) or "" for part in parts]
    return "; ".join(dict.fromkeys(filter(None, papers)))


def millions(system: dict[str, Any]) -> str:
    """Parameters of the first page or backbone, in millions; empty for other systems."""
    if "parameters" in system:
        return str(system["parameters"])
    first = system["use"][0]
    if system["kind"] not in DETECTORS and not first.startswith("backbone/"):
        return ""
    page = first if first.startswith("model=") else f"model/{first.replace('/', '=')}"
    config = detkit.compose([page])
    classes = Classes([f"class {i}" for i in range(80)], list(range(1, 81)))
    detector: Any = assembly.describe_on_meta(config["model"], classes)
    network = detector.backbone if first.startswith("backbone/") else detector
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f}"


def train(system: dict[str, Any], minutes: float) -> dict[str, float]:
    """AP on `shapes` of the system's small version, of boxes and of masks if it has any."""
    first = system["use"][0].removeprefix("detkit train ").split()
    words = [*first, *system["small"], *RECIPE, f"trainer.max_minutes={minutes}"]
    numbers = metrics_after(words)
    return {name: numbers[name] for name in ("AP", "mask_AP") if name in numbers}


def cells(system: dict[str, Any], results: dict[str, Any]) -> list[str]:
    parity = system.get("parity", {})
    checked = f"{parity['reference']}: {parity['compared']}" if parity else ""
    row = [
        system["system"],
        ", ".join(f"`{word}`" for word in system["use"]),
        paper_of(system),
        checked,
        str(parity.get("difference", "")),
    ]
    if system["kind"] in (*DETECTORS, "backbones"):
        row.append(millions(system))
    if system["kind"] in DETECTORS:
        result = results.get(system["system"], {})
        kinds = {"AP": "", "mask_AP": "masks "}
        row.append(", ".join(f"{k}{result[n]:.3f}" for n, k in kinds.items() if n in result))
    return row


def table(kind: str, systems: list[dict[str, Any]], results: dict[str, Any]) -> str:
    titles = ["system", "use", "paper", "compared with", "difference"]
    titles += ["parameters (M)"] * (kind in (*DETECTORS, "backbones"))
    titles += ["AP on shapes"] * (kind in DETECTORS)
    rows = [titles, ["---"] * len(titles)]
    rows += [cells(system, results) for system in systems if system["kind"] == kind]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"## {kind.capitalize()}", "", *lines, ""])


def write_page(systems: list[dict[str, Any]], results: dict[str, Any], minutes: float) -> None:
    kinds = dict.fromkeys(system["kind"] for system in systems)
    tables = [table(kind, systems, results) for kind in kinds]
    PAGE.write_text("\n".join([HEAD.format(minutes=f"{minutes:g}"), *tables]), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", nargs="+", default=[], metavar="SYSTEM", help="or 'all'")
    parser.add_argument("--minutes", type=float, default=3.0)
    options = parser.parse_args()
    systems, results = load_systems(), {}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text(encoding="utf-8"))
    for system in systems:
        if "small" in system and {system["system"], "all"} & {*options.train}:
            numbers = train(system, options.minutes)
            results[system["system"]] = {**numbers, "minutes": options.minutes}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(f"{system['system']}: {numbers}", flush=True)
    measured = {result["minutes"] for result in results.values()} or {options.minutes}
    if len(measured) > 1:
        raise SystemExit(f"trained for different minutes ({sorted(measured)}): use --train all")
    with torch.device("meta"):
        write_page(systems, results, measured.pop())


if __name__ == "__main__":
    main()

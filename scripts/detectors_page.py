"""Write docs/detectors.md: cost and receptive field of each detector page.

    python scripts/detectors_page.py [--pages NAME ...] [--seconds 20]

The script counts parameters, operations and priors, finds receptive fields by gradients, and
measures the time of a training step on this machine. With --pages the rows of all others stay as
they are. A test of tests/parity that compares a page with another library says so in a comment:
`# parity retinanet: torchvision`.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import re
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

import detkit
from detkit import assembly
from detkit.assembly import Classes
from detkit.evaluation.operation_counts import operations, predictions_by_level
from detkit.structures import Batch, Outlines, PaddedTargets, Regions, Target

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "detectors.md"
SIZE, STEP_SIZE, STEP_BATCH, CLASSES, REGIONS = 640, 320, 4, 80, 1000
FIXED_SIZES = {
    "ssd300": 300,
    "ssd512": 512,
    "ssdlite": 320,
    "refinedet320": 320,
    "refinedet512": 512,
    "yolov1": 448,
}
FEWEST_STEPS, MOST_STEPS = 7, 22
MEASURED = ["page", "backbone", "parameters (M)", "size", "operations (G)", "priors"]
MEASURED += ["receptive field", "parity", "step (s)"]
LEARNING = [
    "Every page learns: `make test-all` trains each one on eight images until it finds their "
    "objects (AP50 of 0.95 or more, `tests/detectors/test_every_page_learns.py`). "
    "[bccd.md](bccd.md) compares what small versions of nine of them reach from scratch."
]
WIDEST, HEIGHT = 2048, 128  # of the image in which the receptive field is looked for
OF_SSD = (1536, 288)  # its last levels need the height
STOPS = (nn.Hardsigmoid, nn.Hardswish, nn.ReLU6, nn.Sigmoid)  # flat where values are large
_PARITY = re.compile(r"# parity (\w+): (\w+)")


def batch(images: int, size: int, objects: int = 5) -> Batch:
    """Noise with some boxes on it, which masks fill, and with regions."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8, generator=generator)
    targets = []
    for boxes in _random_boxes(images, objects, size, generator):
        corners = boxes.double().numpy()[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        targets.append(
            Target(
                boxes=boxes,
                labels=torch.randint(CLASSES, (objects,), generator=generator),
                ignored=torch.zeros(objects, dtype=torch.bool),
                outlines=Outlines.of([[ring] for ring in corners]),
            )
        )
    sizes = [(size, size)] * images
    return Batch(
        images=pixels.contiguous(memory_format=torch.channels_last),
        image_sizes=sizes,
        targets=PaddedTargets.of(targets, sizes),
        original_targets=targets,
        image_ids=list(range(images)),
        paths=["noise"] * images,
        original_sizes=sizes,
        to_image=torch.eye(3, dtype=torch.float64).expand(images, 3, 3),
        proposals=Regions.of(list(_random_boxes(images, REGIONS, size, generator))),
    )


def _random_boxes(images: int, count: int, size: int, generator: torch.Generator) -> Tensor:
    """(images, count, 4) boxes with sides of 6 to 40 % of the image's."""
    corners = torch.rand((images, count, 2), generator=generator) * size / 2
    sides = size / 16 + torch.rand((images, count, 2), generator=generator) * size / 3
    return torch.cat([corners, corners + sides], dim=2)


def build(page: str) -> tuple[Any, detkit.Config]:
    """A page's detector with random weights, and its configuration."""
    config = detkit.compose([f"model={page}"])
    classes = Classes([f"class {i}" for i in range(CLASSES)], list(range(1, CLASSES + 1)))
    torch.manual_seed(0)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    return detector.to(memory_format=torch.channels_last), config


def side(page: str, otherwise: int) -> int:
    """Image side for a page, with a default for pages of any size."""
    return FIXED_SIZES.get(page.removeprefix("torchvision_"), otherwise)


def billions(detector: Any, size: int) -> float:
    """Multiplications and additions of one image through network and heads, in 10^9."""
    detector.eval()
    return operations(lambda: detector.predict(batch(1, size))) / 1e9


def priors(detector: Any, size: int) -> str:
    """Priors of an image, or queries; empty for a head with neither."""
    dense = detector.proposer if hasattr(detector, "proposer") else detector.head
    counts = predictions_by_level(copy.deepcopy(detector).to("meta"), dense, (size, size))
    return "" if counts is None else f"{sum(counts):,}"


def receptive_fields(detector: Any, width: int, height: int) -> list[str]:
    """Receptive field of each level after the neck, in pixels along a side.

    Weights are made positive, norms are left out and maxima become means, so that a gradient is
    zero only where there is no way from the pixel to the unit.
    """
    network = nn.Sequential(copy.deepcopy(detector.backbone), copy.deepcopy(detector.neck))
    open_ways(network)
    network.eval()
    image = torch.ones(1, 3, height, width, requires_grad=True)
    seen = []
    with MeansForMaxima():
        levels = network(image)
    for level in levels:
        (gradient,) = torch.autograd.grad(
            level[0, :, level.shape[2] // 2, level.shape[3] // 2].sum(), image, retain_graph=True
        )
        seen.append(extent(gradient))
    return seen


class MeansForMaxima(TorchFunctionMode):
    """Runs every max pooling, as layer or function, as average pooling."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, or average pooling with the same window."""
        named = kwargs or {}
        if func not in (functional.max_pool2d, torch.max_pool2d):
            return func(*args, **named)
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        given = dict(zip(names, args[1:], strict=False)) | named
        if given.pop("return_indices", False) or given.pop("dilation", 1) not in (1, [1, 1]):
            raise ValueError("average pooling has no indices and no dilation")
        return functional.avg_pool2d(args[0], **given)


def extent(gradient: Tensor) -> str:
    columns = gradient[0].abs().sum(dim=(0, 1)).nonzero().flatten()
    if not len(columns):
        return "-"
    reaches = columns[0] == 0 or columns[-1] == gradient.shape[-1] - 1
    return "all" if reaches else f"{int(columns[-1] - columns[0]) + 1:,}"


def open_ways(module: nn.Module) -> None:
    """Replace layers that stop or hide a gradient, in place."""
    for name, child in module.named_children():
        if isinstance(child, STOPS) or (
            "Norm" in type(child).__name__ and not list(child.children())
        ):
            setattr(module, name, nn.Identity())
        else:
            open_ways(child)
    for parameter in module.parameters(recurse=False):
        parameter.requires_grad_(False)
        parameter.fill_(1.0 / max(parameter[0].numel() if parameter.dim() > 1 else 1, 1))


def step_time(detector: Any, data: Batch, seconds: float) -> float:
    """Median seconds of forward, loss, backward and update, after two steps to warm up."""
    detector.train()
    optimizer = torch.optim.SGD(detector.parameters(), lr=1e-6)
    times: list[float] = []
    end = time.monotonic() + seconds
    while len(times) < FEWEST_STEPS or (time.monotonic() < end and len(times) < MOST_STEPS):
        start = time.perf_counter()
        losses = detector.loss(data)
        optimizer.zero_grad()
        torch.stack([v for k, v in losses.items() if k.startswith("loss/")]).sum().backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def parity_sources() -> dict[str, str]:
    """The reference library of each page, from the marks of the parity tests."""
    texts = (path.read_text() for path in sorted((ROOT / "tests" / "parity").glob("*.py")))
    return {page: source for text in texts for page, source in _PARITY.findall(text)}


def measured(page: str, seconds: float, fields: dict[str, list[str]]) -> list[str]:
    """The cells of a page; the same networks share receptive `fields`."""
    detector, config = build(page)
    size = side(page, SIZE)
    network = json.dumps([config["model"]["backbone"], config["model"]["neck"]])
    if network not in fields:
        width, height = (WIDEST, HEIGHT) if size == SIZE else OF_SSD
        fields[network] = receptive_fields(detector, width, height)
    millions = sum(p.numel() for p in detector.parameters()) / 1e6
    step = step_time(detector, batch(STEP_BATCH, side(page, STEP_SIZE)), seconds)
    return [
        f"`{page}`",
        config["model"]["backbone"]["name"],
        f"{millions:.1f}",
        str(size),
        f"{billions(detector, size):.1f}",
        priors(detector, size),
        ", ".join(fields[network]),
        parity_sources().get(page, ""),
        f"{step:.2f}",
    ]


def written() -> dict[str, list[str]]:
    """Existing rows of the page, by detector page."""
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines]
    return {cells[0].strip("`"): cells for cells in rows if cells[0].startswith("`")}


def write(head: list[str], rows: dict[str, list[str]]) -> None:
    """Write the page with the rows measured so far."""
    lines = [*head, f"| {' | '.join(MEASURED)} |", "|---" * len(MEASURED) + "|"]
    lines += [f"| {' | '.join(cells)} |" for _, cells in sorted(rows.items())]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", nargs="*")
    parser.add_argument("--seconds", type=float, default=20, help="for timing each page")
    options = parser.parse_args()
    pages = options.pages or sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml"))
    head = [
        "# Detectors",
        "",
        "Made by `python scripts/detectors_page.py`. With the page's own settings and "
        f"{CLASSES} classes: parameters; operations of one image of {SIZE} x {SIZE}, or of the one "
        "size that the page takes (a multiplication and an addition are two); its priors; pixels "
        f"along a side that a unit of each level after the neck can see (`all`: {WIDEST:,} or "
        "more); the library that the same weights are compared with; median seconds of a training "
        f"step of {STEP_BATCH} images of {STEP_SIZE} x {STEP_SIZE}, or of that size, with "
        f"{torch.get_num_threads()} threads ({platform.machine()}, {os.cpu_count()} cores, PyTorch "
        f"{torch.__version__.split('+')[0]}). `fast_rcnn` and `rcnn` get {REGIONS} random regions "
        "for each image.",
        "",
        *LEARNING,
        "",
    ]
    rows = written()
    fields: dict[str, list[str]] = {}
    for page in pages:
        rows[page] = measured(page, options.seconds, fields)
        print(" | ".join(rows[page]), flush=True)
        write(head, rows)
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

"""`make bench`: run every comparison and write docs/performance.md with its pictures.

    python scripts/benchmark/run.py                      all of it, about half an hour on 2 cores
    python scripts/benchmark/run.py loader inference     some scripts; the rows of the others stay
    python scripts/benchmark/run.py --page               only write the page again

Each script runs alone in a process of its own. What it found is kept in docs/performance/ as JSON,
from which the page is written: tables and plots by this script, the words from page.md beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from measure import Comparison, gemm_rate, machine

from detkit.visualization.figures import new_figure

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "docs" / "performance"
PAGE = ROOT / "docs" / "performance.md"
SCRIPTS = (
    "train_step",
    "matching_loss",
    "inference",
    "postprocess",
    "operations",
    "lightning_step",
    "coco_evaluation",
    "index",
    "loader",
    "start",
    "first_boxes",
    "epochs",
    "exported",
    "evaluation",
    "growth",
)


def run(script: str) -> None:
    """Run a script and store its results with its duration and the machine."""
    started = time.monotonic()
    found = RESULTS / f"{script}.json"
    partial = found.with_suffix(".partial")
    words = ["--json", str(partial)]
    if script == "growth":
        words += ["--plot", str(RESULTS)]
    subprocess.run([sys.executable, str(HERE / f"{script}.py"), *words], check=True)
    content = json.loads(partial.read_text(encoding="utf-8"))
    partial.unlink()
    content["seconds"] = round(time.monotonic() - started)
    content["machine"] = {**machine(), "gflops": round(gemm_rate())}
    found.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def results() -> dict[str, Any]:
    """The stored results of each script."""
    found = {}
    for script in SCRIPTS:
        path = RESULTS / f"{script}.json"
        if path.is_file():
            found[script] = json.loads(path.read_text(encoding="utf-8"))
    return found


def rows_of(found: dict[str, Any]) -> list[Comparison]:
    """All comparisons, in the order of the scripts."""
    return [Comparison(**row) for content in found.values() for row in content["rows"]]


def table(rows: list[Comparison]) -> str:
    """Comparisons as Markdown."""
    lines = ["| work | detkit | peer | ratio | at most | |", "|---|---|---|---|---|---|"]
    for row in rows:
        ratios = row.ratios
        lines.append(
            f"| {row.work} | {_amount(median(row.ours), row.unit)} "
            f"| {_amount(median(row.theirs), row.unit)}, {row.peer} "
            f"| **{row.ratio:.3f}** ({ratios[0]:.3f} to {ratios[-1]:.3f}) | {row.at_most:.2f} "
            f"| {'' if row.met else 'missed'} |"
        )
    return "\n".join(lines)


def _amount(value: float, unit: str) -> str:
    if unit == "s" and value < 1:
        value, unit = value * 1000, "ms"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004


def remarks(rows: list[Comparison]) -> str:
    """Remarks on single rows."""
    return "\n".join(f"- {row.work}: {row.remark.rstrip('.')}." for row in rows if row.remark)


def machine_table(found: dict[str, Any]) -> str:
    """The machines of the results; one, unless some scripts ran elsewhere."""
    machines = {json.dumps(content["machine"], sort_keys=True) for content in found.values()}
    kept: dict[str, dict[str, Any]] = {}
    for text in sorted(machines):
        content = json.loads(text)
        content.pop("gflops")
        kept[json.dumps(content, sort_keys=True)] = content
    rates = [content["machine"]["gflops"] for content in found.values()]
    lines = [", ".join(f"{key} {value}" for key, value in one.items()) for one in kept.values()]
    lines.append(
        f"float32 matrix products: {min(rates)} to {max(rates)} GFLOP/s, measured by each script"
    )
    took = {name: content["seconds"] / 60 for name, content in found.items()}
    each = ", ".join(f"{name} {minutes:.1f}" for name, minutes in took.items())
    lines.append(f"all scripts: {sum(took.values()):.1f} minutes ({each})")
    return "\n".join(f"- {line}" for line in lines)


def plot(rows: list[Comparison], path: Path) -> None:
    """Plot each ratio as a dot with its spread, and its target as a line."""
    figure = new_figure(9, 0.3 * len(rows) + 1)
    axes = figure.subplots()
    places = range(len(rows))
    for place, row in zip(places, rows, strict=True):
        colour = "tab:blue" if row.met else "tab:red"
        axes.plot([row.ratios[0], row.ratios[-1]], [place, place], color=colour, lw=2)
        axes.plot(row.ratio, place, "o", color=colour)
        axes.plot([row.at_most] * 2, [place - 0.35, place + 0.35], color="black", lw=1.5)
    axes.set_yticks(places, [row.work for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.axvline(1, color="grey", lw=0.8, ls=":")
    axes.set_xlabel(
        "detkit / peer, lower is better\nblack: at most; line: lowest to highest", fontsize=8
    )
    figure.savefig(path, metadata={"Date": None})


def skipped(found: dict[str, Any]) -> str:
    """Scripts that measured nothing, and the reason."""
    lines = [
        f"- `{name}` measured nothing: {content['skipped']}."
        for name, content in found.items()
        if "skipped" in content
    ]
    return "\n".join(lines)


def growth_text(found: dict[str, Any]) -> str:
    """Describe the growth of a step, one sentence for each axis and detector."""
    content = found.get("growth")
    if content is None:
        return "Not measured."
    held = [f"- {each['sentence']}." for each in content["memory_check"]]
    lines = [f"- {each['sentence']}." for each in content["growth"]] + held
    return "\n".join(["![growth](performance/growth.svg)", "", *lines])


def operations_table(found: dict[str, Any]) -> str:
    """Operations and host reads of a step and a prediction, before and after, beside the peers."""
    content = found.get("operations")
    if content is None:
        return "Not measured."
    lines = [
        "| detector | step: operations | host reads | prediction: operations | host reads |",
        "|---|---|---|---|---|",
    ]
    for name, numbers in content["after"].items():
        before = content["before"][name]
        cells = (f"{a:,} → **{b:,}**" for a, b in zip(before, numbers, strict=True))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name, numbers in content["peers"].items():
        lines.append(f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |")
    return "\n".join(lines)


def write_page() -> None:
    """Fill the placeholders of page.md with the stored results."""
    mpl.rcParams["svg.hashsalt"] = "detkit"  # the same picture from the same numbers
    found = results()
    rows = rows_of(found)
    plot(rows, RESULTS / "ratios.svg")
    text = (HERE / "page.md").read_text(encoding="utf-8")
    parts = {
        "machine": machine_table(found),
        "table": table(rows),
        "remarks": "\n".join(filter(None, [remarks(rows), skipped(found)])),
        "growth": growth_text(found),
        "operations": operations_table(found),
    }
    for name, part in parts.items():
        text = text.replace("{" + name + "}", part)
    PAGE.write_text(text, encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


def main() -> None:
    """Run the named scripts, or all, and write the page."""
    RESULTS.mkdir(exist_ok=True)
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    unknown = set(words) - set(SCRIPTS)
    if unknown:
        sys.exit(f"no such script: {', '.join(sorted(unknown))}; there are {', '.join(SCRIPTS)}")
    if "--page" not in sys.argv:
        for script in words or SCRIPTS:
            print(f"\n{script}", flush=True)
            run(script)
    write_page()


if __name__ == "__main__":
    main()

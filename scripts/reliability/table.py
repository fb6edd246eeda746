"""Write docs/reliability.md: known failure modes, and the tests that guard against them.

    python scripts/reliability/table.py           writes the page
    python scripts/reliability/table.py --check   fails if it is out of date

A test that guards a row has a comment with the row's number, directly above its `def`, on the same
line or as its first line: `# pain 14`. The rows themselves are in rows.yaml.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
ROWS = Path(__file__).with_name("rows.yaml")
_MARK = re.compile(r"#\s*pains?\s+([\d, and]+)")
_TEST = re.compile(r"\s*def (test_\w+)")
SHOWN = 6  # tests of a row that are named; the others are counted


class Test(NamedTuple):
    """A test that guards a row."""

    file: str
    name: str

    @property
    def sentence(self) -> str:
        """The name as words."""
        return self.name.removeprefix("test_").replace("_", " ")


def marked_tests(folder: Path) -> dict[int, list[Test]]:
    """The tests of each row, by the row's number."""
    found: dict[int, list[Test]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        file = path.relative_to(folder.parent).as_posix()
        for position, line in enumerate(lines):
            mark = _MARK.search(line)
            if mark:
                test = Test(file, _test_at(lines, position, file))
                for number in re.findall(r"\d+", mark[1]):
                    if test not in found[int(number)]:
                        found[int(number)].append(test)
    return dict(found)


def _test_at(lines: list[str], position: int, file: str) -> str:
    """The test of a comment: on its line, around it, or else the next one."""
    head = position
    while head > 0 and lines[head].startswith((" ", ")")):
        head -= 1  # out of a body, to its `def`, which may take several lines
    for line in [lines[position], lines[head], *lines[position:]]:
        match = _TEST.match(line)
        if match:
            return match[1]
    raise SystemExit(f"{file}:{position + 1}: no test follows this mark")


def page(rows: list[dict[str, object]], tests: dict[int, list[Test]]) -> str:
    """The page as Markdown, in the order of the rows' numbers."""
    rows = sorted(rows, key=lambda row: int(str(row["number"])))
    lines = [
        "# Known failure modes and the tests that guard against them",
        "",
        "What users of detection frameworks complain about, what they see in detkit instead, and "
        "the tests that prove it.",
        "`python scripts/reliability/table.py` generates this page from the tests; a test checks "
        "that it is up to date.",
    ]
    lines += ["", "| | complaint | tests | for example |", "|---|---|---|---|"]
    for row in rows:
        number = int(str(row["number"]))
        deciding = tests.get(number, [])
        if not deciding:
            raise SystemExit(f"row {number} ({row['pain']}) has no test")
        first = deciding[0]
        lines.append(f"| {number} | {row['pain']} | {len(deciding)} | {first.sentence} |")
    for row in rows:
        number = int(str(row["number"]))
        deciding = tests[number]
        lines += ["", f"## {number}. {row['pain']}", "", str(row["sees"]).strip(), ""]
        lines += [f"- {test.sentence} (`{test.file}`)" for test in deciding[:SHOWN]]
        if len(deciding) > SHOWN:
            files = sorted({test.file for test in deciding[SHOWN:]})
            names = ", ".join(f"`{file}`" for file in files)
            lines.append(f"- and {len(deciding) - SHOWN} more in {names}")
    return "\n".join(lines) + "\n"


def main() -> int:
    rows = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    text = page(rows, marked_tests(ROOT / "tests"))
    if "--check" in sys.argv[1:]:
        up_to_date = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        print(f"{PAGE.relative_to(ROOT)} is {'up to date' if up_to_date else 'out of date'}")
        return int(not up_to_date)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

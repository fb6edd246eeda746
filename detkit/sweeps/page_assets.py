"""Look and behaviour of the page of a sweep; plain CSS and JavaScript, nothing is fetched."""

from __future__ import annotations

COLOURS = 6  # classes c0 to c5; more values than that share the last one, `rest`

STYLE = """
:root { --c0: #0072b2; --c1: #e69f00; --c2: #009e73; --c3: #d55e00; --c4: #56b4e9; --c5: #cc79a7;
  --rest: #8a8f96; }
@media (prefers-color-scheme: dark) { :root { --c0: #3d9ad6; --c4: #a5d8f7; } }
.tools { display: flex; flex-wrap: wrap; gap: .75rem 1.5rem; align-items: center;
  margin: 0 0 .75rem; }
input, select { font: inherit; color: inherit; background: var(--card); padding: .3rem .6rem;
  border: 1px solid var(--line); border-radius: .4rem; }
input { width: 22rem; max-width: 100%; }
#jobs th button { all: unset; cursor: pointer; }
#jobs th button:hover, #jobs th button:focus-visible { color: var(--accent);
  text-decoration: underline; }
#jobs th[aria-sort=ascending] button::after { content: " \\2191"; }
#jobs th[aria-sort=descending] button::after { content: " \\2193"; }
.number { text-align: right; }
#jobs th, #jobs td { white-space: nowrap; }
#jobs td.error { white-space: normal; min-width: 16rem; }
.wide + .wide { margin-top: 1.5rem; }
#jobs tbody tr.on, #jobs tbody tr:hover { background: var(--card); }
.failed, .damaged { color: #d55e00; }
a { color: var(--accent); }
.gone { display: none; }
svg { display: block; width: 100%; height: auto; background: var(--card);
  border: 1px solid var(--line); border-radius: .6rem; }
svg text { fill: var(--faint); font-size: 12px; }
svg .grid { stroke: var(--line); }
.curve { color: var(--rest); opacity: .8; }
.curve polyline { fill: none; stroke: currentColor; stroke-width: 1.5; }
.curve circle { fill: currentColor; stroke: none; }
.curve.on { opacity: 1; }
.curve.on polyline { stroke-width: 4; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.rest { color: var(--rest); }
#legend span::before { content: "\\25cf  "; }
#legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; }
"""

SCRIPT = """
"use strict";
(() => {
  const table = document.getElementById("jobs");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const curves = new Map();
  for (const curve of document.querySelectorAll(".curve")) curves.set(curve.dataset.job, curve);

  const valueOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (first, second) => {
    const numbers = [Number(first), Number(second)];
    const numeric = first !== "" && second !== "" && !numbers.some(Number.isNaN);
    if (numeric) return numbers[0] - numbers[1];
    return first < second ? -1 : first > second ? 1 : 0;
  };
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const before = head.getAttribute("aria-sort");
    const first = head.classList.contains("number") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = before === first ? other : first;
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const known = rows.filter((row) => valueOf(row, column) !== "");
    const empty = rows.filter((row) => valueOf(row, column) === "");
    const sign = order === "ascending" ? 1 : -1;
    known.sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column)));
    body.append(...known, ...empty);
  }));

  const filter = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const choose = () => {
    const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.dataset.text;
      const meets = words.every((word) => text.includes(word));
      row.classList.toggle("gone", !meets);
      curves.get(row.dataset.job)?.classList.toggle("gone", !meets);
      count += meets;
    }
    shown.textContent = `${count} of ${rows.length} jobs`;
  };
  filter.addEventListener("input", choose);

  const select = document.getElementById("colour");
  const legend = document.getElementById("legend");
  const paint = () => {
    const column = Number(select.value);
    const values = [...new Set(rows.map((row) => row.cells[column].textContent))].sort(compare);
    const classOf = (value) => {
      const place = values.indexOf(value);
      return place < COLOURS ? `c${place}` : "rest";
    };
    for (const row of rows) {
      const curve = curves.get(row.dataset.job);
      if (!curve) continue;
      curve.classList.remove("rest", ...Array.from({ length: COLOURS }, (_, i) => `c${i}`));
      curve.classList.add(classOf(row.cells[column].textContent));
    }
    legend.replaceChildren(...values.slice(0, COLOURS + 1).map((value, place) => {
      const entry = document.createElement("span");
      entry.className = classOf(value);
      entry.textContent = place < COLOURS ? value || "none" : "others";
      return entry;
    }));
  };
  if (select) {
    select.addEventListener("change", paint);
    paint();
  }

  const link = (element, job) => {
    const both = () => [curves.get(job), rows.find((row) => row.dataset.job === job)];
    const set = (on) => both().forEach((each) => each?.classList.toggle("on", on));
    element.addEventListener("mouseenter", () => set(true));
    element.addEventListener("mouseleave", () => set(false));
  };
  rows.forEach((row) => link(row, row.dataset.job));
  curves.forEach((curve, job) => link(curve, job));
  filter.value = "";
  choose();
})();
""".replace("COLOURS", str(COLOURS))

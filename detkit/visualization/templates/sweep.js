"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
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
    heads.forEach((cell) => cell.removeAttribute("aria-sort"));
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
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = data.texts[row.dataset.job];
      const matches = words.every((word) => text.includes(word));
      row.classList.toggle("gone", !matches);
      curves.get(row.dataset.job)?.classList.toggle("gone", !matches);
      count += matches;
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
      const position = values.indexOf(value);
      return position < data.colours ? `c${position}` : "rest";
    };
    for (const row of rows) {
      const curve = curves.get(row.dataset.job);
      if (!curve) continue;
      curve.classList.remove("rest", ...Array.from({ length: data.colours }, (_, i) => `c${i}`));
      curve.classList.add(classOf(row.cells[column].textContent));
    }
    legend.replaceChildren(...values.slice(0, data.colours + 1).map((value, position) => {
      const entry = document.createElement("span");
      entry.className = classOf(value);
      entry.textContent = position < data.colours ? value || "none" : "others";
      return entry;
    }));
  };
  if (select) {
    select.addEventListener("change", paint);
    paint();
  }

  const link = (element, job) => {
    const both = () => [curves.get(job), rows.find((row) => row.dataset.job === job)];
    const set = (on) => both().forEach((part) => part?.classList.toggle("on", on));
    element.addEventListener("mouseenter", () => set(true));
    element.addEventListener("mouseleave", () => set(false));
  };
  rows.forEach((row) => link(row, row.dataset.job));
  curves.forEach((curve, job) => link(curve, job));
  filter.value = "";
  choose();
})();

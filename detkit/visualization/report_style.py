"""How the report looks, bright or dark as the reader's system is."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --paper: #fafaf8; --card: #ffffff; --ink: #202328;
  --faint: #6a7078; --line: #e2e2dc; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --card: #1f2226; --ink: #e8e8e4; --faint: #9aa0a8;
    --line: #34383e; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
header p { margin: 0; color: var(--faint); font-size: .875rem; }
h1 { margin: 0 0 1.5rem; font-size: 1.75rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.15rem; }
.tiles { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); }
.tile { display: flex; flex-direction: column; padding: 1rem 1.25rem; border-radius: .6rem;
  background: var(--card); border: 1px solid var(--line); }
.tile b { font-size: 2.2rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.tile span { font-weight: 600; color: var(--accent); }
.tile small { color: var(--faint); }
.reading { max-width: 46rem; margin: 0 0 1rem; color: var(--faint); }
img { display: block; width: 100%; height: auto; border-radius: .6rem;
  border: 1px solid var(--line); background: #ffffff; }
.gallery { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr)); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem 1.5rem .35rem 0; text-align: left; vertical-align: baseline;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { color: var(--faint); font-size: .875rem; font-weight: 500; }
td { min-width: 5rem; }
.bar { display: inline-block; width: 8rem; height: .55rem; margin-right: .6rem;
  border-radius: .3rem;
  background: linear-gradient(var(--accent), var(--accent)) 0 / var(--share) 100% no-repeat
    var(--line); }
summary { cursor: pointer; color: var(--accent); }
pre { overflow-x: auto; padding: 1rem; border-radius: .6rem; background: var(--card);
  border: 1px solid var(--line); font-size: .8125rem; line-height: 1.45; }
"""

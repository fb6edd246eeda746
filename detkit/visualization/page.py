"""What all pages of HTML have in common: the frame, and sections with a heading."""

from __future__ import annotations

from html import escape

from detkit.visualization.report_style import STYLE


def page(title: str, body: str, *, kind: str, style: str = STYLE, script: str = "") -> str:
    """A page of HTML that needs no other file.

    Args:
        title: Heading of the page.
        body: HTML, everything in it escaped.
        kind: What the page is of, in two words.
        style: CSS.
        script: JavaScript that runs when all of the page is there.
    """
    code = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f"<header><p>{escape(kind)}</p><h1>{escape(title)}</h1></header>\n{body}\n"
        f"</main>\n{code}</body>\n</html>\n"
    )


def section(heading: str, content: str) -> str:
    """A part of a page with a heading; nothing where there is no content."""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{content}\n</section>" if content else ""

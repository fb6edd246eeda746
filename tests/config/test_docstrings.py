"""Reading docstrings."""

from detkit.config.docstrings import (
    argument_help,
    body_of,
    citation_of,
    first_line,
    paper_of,
)

TEXT = """First line: it matters.

    Body.

    Paper: One (A, 2019), https://one.example
    Paper: Two (B, 2020),
        https://two.example
    Args:
        size (int): In brackets.
        long: Starts here
            and goes on: to here.

            A new paragraph too.
        empty:
    Returns:
        size: Not an argument.
    """


def test_first_line():
    assert first_line(TEXT) == "First line: it matters."
    assert first_line(None) == ""


def test_papers_end_at_the_next_section():
    assert (
        paper_of(TEXT) == "One (A, 2019), https://one.example; Two (B, 2020), https://two.example"
    )


def test_no_paper():
    assert paper_of("Just a line.") is None
    assert citation_of("Just a line (Somebody, 2020).") is None


def test_citations_are_authors_and_years():
    assert citation_of(TEXT) == "A, 2019; B, 2020"


def test_body_is_the_text_between_first_line_and_sections():
    assert body_of(TEXT) == ["Body."]
    assert body_of("Line.\n\nOne\nand on.\n\nTwo.\n\nArgs:\n    x: No.") == ["One and on.", "Two."]
    assert body_of(None) == []


def test_help_of_each_argument_with_its_continuation():
    assert argument_help(TEXT) == {
        "size": "In brackets.",
        "long": "Starts here and goes on: to here. A new paragraph too.",
        "empty": "",
    }


def test_no_section_gives_no_help():
    assert argument_help(None) == {}

"""`detkit plugin check`: the report and the exit code."""

import json

import pytest

from detkit.cli.main import main

GOOD = '''
from torch import Tensor

from detkit import register


@register("loss", "{name}")
class {kind}:
    """A loss.

    Args:
        weight: Its weight.
    """

    space = "codes"

    def __init__(self, *, {first}weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(self, predicted: Tensor, target: Tensor) -> Tensor:
        return (predicted.float() - target.float()).abs(){reduce}
'''


def loss(name="checked_loss", kind="Loss", first="", reduce=".sum(dim=-1)"):
    return GOOD.format(name=name, kind=kind, first=first, reduce=reduce)


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Run the command in its own folder: exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETKIT_DISABLE_ENTRYPOINTS", "1")

    def run(*words, **files):
        for stem, text in files.items():
            file = tmp_path / f"{stem}.py"
            file.write_text(text)
        code = main(["plugin", "check", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


def test_a_part_that_keeps_its_contract(check):
    code, shown, _ = check("good.py", good=loss())
    lines = shown.splitlines()
    assert code == 0
    assert lines[0] == "loss 'checked_loss' (good.py)"
    assert lines[1] == "  ok        it can be built"
    assert lines[-1] == "loss 'checked_loss' keeps its contract: 10 kept, 0 broken"


def test_a_part_that_breaks_it(check):
    code, shown, _ = check("bad.py", bad=loss(reduce=".mean()"))
    assert code == 1
    assert "  FAILED    each pair has one value\n            0 pairs gave one number" in shown
    assert "  left out  values are deterministic\n" in shown
    assert shown.splitlines()[-1].startswith("loss 'checked_loss' does not keep its contract: 3 ke")


def test_every_part_of_a_file_is_checked(check):
    text = loss("first_loss", "First") + loss("second_loss", "Second", reduce="")
    code, shown, _ = check("two.py", two=text)
    assert code == 1
    assert "loss 'first_loss' keeps its contract" in shown
    assert shown.splitlines()[-1] == "2 parts, broken: loss/second_loss"


def test_a_folder_a_module_a_family_and_a_bare_name_mean_the_same(check, tmp_path):
    (tmp_path / "plugins" / "four").mkdir(parents=True)
    (tmp_path / "plugins" / "four" / "part.py").write_text(loss("four_loss"))
    (tmp_path / "plugins" / "four" / "__init__.py").write_text("from . import part\n")
    for word in ("plugins/four", "four", "loss/four_loss", "four_loss"):
        code, shown, errors = check(word)
        assert (code, errors) == (0, "")
        assert shown.startswith("loss 'four_loss' (plugins/four/part.py)\n")


def test_a_registered_part_is_meant_before_a_folder_of_its_name(check, tmp_path):
    (tmp_path / "l1").mkdir()
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "l1").mkdir()
    for name in ("l1", "loss/l1"):
        code, shown, _ = check(name)
        assert code == 0
        assert shown.startswith("loss 'l1'")


def test_values_of_the_constructor(check):
    needing = loss("needing_loss", first="groups: int, ")
    code, _, errors = check("needing.py", needing=needing)
    assert code == 2
    assert (
        "loss 'needing_loss' (needing.py): groups: a value is missing (int) Set groups=" in errors
    )
    assert check("needing.py", "groups=4")[0] == 0
    code, _, errors = check("needing.py", "group=4")
    assert code == 2
    assert "no constructor here has an argument 'group'. Did you mean 'groups'?" in errors
    assert check("needing.py", "groups=[")[0] == 2


def test_parts_inside_a_part_are_swapped_and_tuned(check):
    words = ("quality_target/objectness", "overlap_share=0.5")
    assert check(*words)[0] == 0
    code, _, errors = check("proposer/rpn", "box_loss=giou", "sampler.nam=keep_all")
    assert code == 2
    assert "sampler.nam: unknown key" in errors


def test_a_reader_is_tried_on_a_folder(check, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.json").write_text(json.dumps({"images": []}))
    code, shown, _ = check("reader/coco")
    assert code == 0
    assert shown.splitlines()[-1].endswith("as far as it was tried: 3 kept, 0 broken, 3 left out")
    code, shown, _ = check("reader/coco", f"data.path={data}")
    assert code == 1
    assert "it raised DataError" in shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name' (refused.py:1)"),
        ("def broken(:", "SyntaxError: "),
        (loss().replace("weight: float = 1.0", "*arguments"), "SyntaxError"),
        (
            loss().replace("*, weight", "*weights: int, weight"),
            "argument 'weights' hides arguments",
        ),
        (loss().replace("weight: float = 1.0", "weight=1.0"), "argument 'weight' has no type"),
        (loss("focal"), "clashes with the one in 'detkit.losses.focal'"),
    ],
)
def test_a_refused_registration_is_one_line_with_the_file(check, text, says):
    code, shown, _ = check("refused.py", refused=text)
    first = shown.splitlines()[0]
    assert code == 1
    assert first.startswith("plugin 'refused.py' could not be loaded: ")
    assert says in first
    assert "refused.py:" in first


def test_a_constructor_that_cannot_be_read_is_a_broken_promise(check):
    text = loss().replace("weight: float = 1.0", "weight: float = 'heavy'")
    code, shown, _ = check("heavy.py", heavy=text)
    assert code == 1
    assert "  FAILED    its constructor can be read\n" in shown
    assert "the default of 'weight' is 'heavy', expected" in shown


def test_a_part_that_cannot_be_built_is_told_once(check):
    text = loss().replace("self.weight = weight", "self.weight = weight / 0")
    code, shown, _ = check("unbuilt.py", unbuilt=text)
    assert code == 1
    assert shown.count("ZeroDivisionError") == 1
    assert "  left out  9 more promises: the part must be built first" in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "takes one PATH or NAME"),
        (["fpn", "pan"], "takes one PATH or NAME"),
        (["fcos"], "several families have a part 'fcos': write one of head/fcos, assigner/fcos"),
        (["fpnn"], "there is no part, module or file 'fpnn'. Did you mean 'fpn'?"),
        (["neck/fpnn"], "there is no neck 'fpnn'. Did you mean 'fpn'?"),
        (["nowhere.py"], "'nowhere.py': no such file"),
        (["."], "it has no __init__.py, so it is not a plugin"),
        (["empty.py"], "plugin 'empty.py' registers no part: put @register(FAMILY, NAME)"),
    ],
)
def test_wrong_words_are_told_in_one_line(check, words, says):
    code, shown, errors = check(*words, empty="")
    assert (code, shown) == (2, "")
    assert says in errors
    assert len(errors.splitlines()) == 1

"""Registration, look-up and plugins."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from detkit import register, registry
from detkit.errors import UserError

PLUGIN = '''
from detkit import register

@register("neck", "{name}")
class Neck:
    """A neck from a plugin."""

    def __init__(self, *, depth: int = 1) -> None:
        self.depth = depth
'''


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Undo changes of the registry after the test, in an empty working directory."""
    monkeypatch.setattr(registry, "_parts", dict(registry._parts))
    monkeypatch.setattr(registry, "plugin_failures", {})
    monkeypatch.setattr(registry, "_loaded_plugins", {})
    monkeypatch.setenv("DETKIT_DISABLE_ENTRYPOINTS", "1")
    monkeypatch.chdir(tmp_path)
    yield
    folder = str(tmp_path)
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(folder):
            del sys.modules[name]


@pytest.fixture
def write_plugin(tmp_path: Path) -> Callable[..., Path]:
    def write(path: str, name: str = "foreign", text: str = PLUGIN) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("{name}", name))
        return file

    return write


def test_registered_class_is_found_by_its_name():
    @register("neck", "mine")
    class Mine:
        def __init__(self, *, depth: int = 3) -> None: ...

    assert registry.get("neck", "mine") is Mine
    assert "mine" in registry.names("neck")
    assert registry.part("neck", "mine").module == __name__
    assert registry.part("neck", "mine").file == Path(__file__)


def test_unknown_family_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"no family 'necks'; families: .* Did you mean 'neck'\?"):
        register("necks", "mine")


@pytest.mark.parametrize("call", [registry.names, lambda family: registry.get(family, "x")])
def test_looking_into_an_unknown_family_is_refused(call):
    with pytest.raises(UserError, match="there is no family 'spine'"):
        call("spine")


def hidden(*depths: int) -> None: ...
def hidden_by_name(**options: int) -> None: ...
def untyped(*, depth=3) -> None: ...


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (hidden, "neck 'mine' .*argument 'depths' hides arguments: list each one"),
        (hidden_by_name, "argument 'options' hides arguments"),
        (untyped, "argument 'depth' has no type: annotate it"),
    ],
)
def test_constructor_that_cannot_be_checked_is_refused(factory, text):
    with pytest.raises(UserError, match=text):
        register("neck", "mine")(factory)
    assert "mine" not in registry.names("neck")


def test_name_taken_by_another_module_is_refused():
    @register("neck", "mine")
    class Mine: ...

    class Other: ...

    Other.__module__ = "elsewhere"
    text = f"neck 'mine' in module 'elsewhere' clashes with the one in '{__name__}'"
    with pytest.raises(UserError, match=text):
        register("neck", "mine")(Other)
    assert registry.get("neck", "mine") is Mine


def test_name_of_a_builtin_part_cannot_be_taken(monkeypatch):
    builtin = registry.Part("neck", "ours", "detkit.necks.ours", Path("ours.py"), "detkit")
    monkeypatch.setattr(registry, "_builtin_parts", lambda: {("neck", "ours"): builtin})
    with pytest.raises(UserError, match=r"clashes with the one in 'detkit\.necks\.ours'"):

        @register("neck", "ours")
        class Mine: ...


def test_registering_again_in_the_same_module_replaces():
    for _ in range(2):

        @register("neck", "mine")
        class Mine: ...

    assert registry.get("neck", "mine") is Mine


def test_unknown_name_gets_the_nearest_and_all_names():
    @register("neck", "pyramid")
    class Pyramid: ...

    with pytest.raises(
        UserError, match=r"no neck 'piramid'\. Did you mean 'pyramid'\? Known: .*py"
    ):
        registry.get("neck", "piramid")


def test_part_is_imported_when_it_is_asked_for_and_not_before(monkeypatch, write_plugin, tmp_path):
    file = write_plugin("lazy_part.py", "lazy")
    monkeypatch.syspath_prepend(str(tmp_path))
    lazy = registry.Part("neck", "lazy", "lazy_part", file, "detkit")
    monkeypatch.setattr(registry, "_builtin_parts", lambda: {("neck", "lazy"): lazy})
    assert registry.names("neck") == sorted({*registry.names("neck"), "lazy"})
    assert registry.part("neck", "lazy").factory is None
    assert "lazy_part" not in sys.modules
    assert registry.get("neck", "lazy").__name__ == "Neck"
    assert registry.part("neck", "lazy").origin == "detkit"


@pytest.mark.parametrize(
    ("argument", "family"),
    [
        ("loss", "loss"),
        ("box_loss", "loss"),
        ("box_coder", "box_coder"),
        ("mask_box_coder", "box_coder"),
        ("lossy", None),
        ("model", None),
    ],
)
def test_slot_name_determines_the_family(argument, family):
    assert registry.family_of_slot(argument) == family


@pytest.mark.parametrize("path", ["plugins/single.py", "plugins/folder/__init__.py"])
def test_plugins_folder_is_loaded(path, write_plugin):
    write_plugin(path)
    assert len(registry.load_plugins()) == 1
    part = registry.part("neck", "foreign")
    assert part.origin in ("file single.py", "folder folder")
    assert registry.get("neck", "foreign")().depth == 1


def test_plugin_folder_may_import_its_own_files(write_plugin):
    write_plugin("plugins/many/inner.py")
    write_plugin("plugins/many/__init__.py", text="from . import inner\n")
    registry.load_plugins()
    assert registry.part("neck", "foreign").origin == "folder many"


def test_files_that_begin_with_an_underscore_are_no_plugins(write_plugin):
    write_plugin("plugins/_draft.py")
    assert registry.load_plugins() == []


def test_listed_file_is_loaded_once(write_plugin):
    file = str(write_plugin("anywhere/mine.py"))
    assert registry.load_plugins([file]) == registry.load_plugins([file]) == [file]
    assert registry.part("neck", "foreign").origin == f"plugin {file}"


def test_listed_module_is_imported(write_plugin, tmp_path, monkeypatch):
    write_plugin("listed_module.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.load_plugins(["listed_module"]) == ["listed_module"]
    assert "foreign" in registry.names("neck")


def test_plugins_named_by_the_environment_are_loaded(write_plugin, monkeypatch):
    files = [str(write_plugin("one.py", "first")), str(write_plugin("two.py", "second"))]
    monkeypatch.setenv("DETKIT_PLUGINS", ":".join(files))
    assert registry.load_plugins() == files
    assert {"first", "second"} <= set(registry.names("neck"))


def test_entry_points_are_loaded(write_plugin, monkeypatch, tmp_path):
    write_plugin("shipped.py")
    metadata = tmp_path / "shipped-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Name: shipped\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[detkit.plugins]\nshipped = shipped\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("DETKIT_DISABLE_ENTRYPOINTS")
    assert "shipped" in registry.load_plugins()
    assert registry.part("neck", "foreign").origin == "package shipped 1.0"


def test_failing_plugin_stops_no_other_and_is_named_when_a_part_is_missed(write_plugin):
    write_plugin("plugins/broken.py", text="import not_installed_anywhere\n")
    write_plugin("plugins/working.py")
    assert [Path(name).name for name in registry.load_plugins()] == ["working.py"]
    text = (
        r"Plugin 'plugins/broken\.py' could not be loaded: ModuleNotFoundError: .*anywhere' "
        r"\(plugins/broken\.py:1\)\. Install 'not_installed_anywhere' beside detkit"
    )
    with pytest.raises(UserError, match=text):
        registry.get("neck", "of_the_broken_one")  # pain 9


def test_missing_plugin_file_is_named(tmp_path):
    registry.load_plugins([str(tmp_path / "gone.py")])
    with pytest.raises(UserError, match=r"gone\.py' could not be loaded: FileNotFoundError"):
        registry.get("neck", "of_the_missing_one")


def test_slots_are_read_from_the_text(write_plugin, monkeypatch):
    text = """
class Head:
    def __init__(
        self,
        *,
        depth: int = 1,
        box_loss: Annotated[BoxLoss, Slot("loss", "l1")],
        quality_loss: Annotated[
            ClassificationLoss | None, Slot("loss", space=("classes",))
        ],
        scale: Annotated[float, Gt(0)] = 1.0,
    ) -> None: ...
"""
    part = registry.Part("head", "one", "no_such", write_plugin("heads.py", text=text), "detkit")
    monkeypatch.setattr(registry, "_builtin_parts", lambda: {("head", "one"): part})
    monkeypatch.setattr(registry, "_parts", {})
    assert registry.slot_names("head") == ["box_loss", "quality_loss"]


def test_test_files_of_a_plugin_are_not_imported(write_plugin):
    write_plugin("plugins/tested/__init__.py")
    write_plugin("plugins/tested/test_tested.py", text="raise RuntimeError('imported')\n")
    assert [Path(name).name for name in registry.load_plugins()] == ["tested"]
    assert registry.plugin_failures == {}


BAD = {
    "import enoent_package\n": (
        "ModuleNotFoundError: No module named 'enoent_package' (plugins/bad.py:1). "
        "Install 'enoent_package' beside detkit, or remove the import."
    ),
    "import sys\nsys.exit('usage: bad')\n": "SystemExit: usage: bad (plugins/bad.py:2). Fix it",
    "\ndef broken(:\n": "SyntaxError: invalid syntax (plugins/bad.py:2). Fix it",
    PLUGIN.replace("*, depth: int = 1", "*depths: int").replace("{name}", "bad"): (
        "argument 'depths' hides arguments: list each one so that detkit can check configurations "
        "(plugins/bad.py:4)."
    ),
    PLUGIN.replace("depth: int", "depth").replace("{name}", "bad"): (
        "argument 'depth' has no type: annotate it so that detkit can check configurations "
        "(plugins/bad.py:4)."
    ),
    PLUGIN.replace("{name}", "fpn"): (
        "clashes with the one in 'detkit.necks.fpn': register it under another name "
        "(plugins/bad.py:4)."
    ),
    PLUGIN.replace("neck", "neckk").replace("{name}", "bad"): "there is no family 'neckk'",
}


@pytest.mark.parametrize("text", BAD, ids=list(map(str, range(len(BAD)))))
def test_plugin_that_cannot_be_used_is_one_line_with_its_place_and_a_remedy(text, write_plugin):
    write_plugin("plugins/bad.py", text=text)
    write_plugin("plugins/good.py")
    registry.load_plugins()
    said = registry.failed_plugins()
    assert said.startswith(" Plugin 'plugins/bad.py' could not be loaded: ")  # pain 9
    assert BAD[text] in said
    assert "\n" not in said
    assert registry.get("neck", "foreign")().depth == 1
    assert "bad" not in registry.names("neck")


def test_plugin_that_fails_half_way_leaves_no_part(write_plugin):
    write_plugin("plugins/half.py", text=PLUGIN + "1 / 0\n")
    registry.load_plugins()
    assert "foreign" not in registry.names("neck")
    assert "ZeroDivisionError: division by zero (plugins/half.py:10)" in registry.failed_plugins()


def test_place_of_a_failure_is_the_line_of_the_plugin_not_that_of_a_library(write_plugin):
    write_plugin("plugins/many/inner.py", text="import json\n\njson.loads('{')\n")
    write_plugin("plugins/many/__init__.py", text="from . import inner\n")
    registry.load_plugins()
    assert "(plugins/many/inner.py:3)" in registry.failed_plugins()


def test_plugins_of_one_name_in_two_folders_do_not_replace_each_other(write_plugin, tmp_path):
    files = [write_plugin(f"{place}/same.py", place) for place in ("one", "two")]
    registry.load_plugins(map(str, files))
    necks = [registry.get("neck", place) for place in ("one", "two")]
    assert [registry.part("neck", n).file for n in ("one", "two")] == files
    assert necks[0].__module__ != necks[1].__module__


def test_plugin_that_a_test_has_imported_is_not_loaded_again(write_plugin, monkeypatch, tmp_path):
    write_plugin("plugins/tested/__init__.py")
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    module = importlib.import_module("tested")  # as pytest does before it imports the test
    assert registry.part("neck", "foreign").origin == "module tested"
    registry.load_plugins()
    assert registry.plugin_failures == {}
    assert registry.get("neck", "foreign") is module.Neck
    part = registry.part("neck", "foreign")
    assert (part.origin, part.plugin) == ("folder tested", str(tmp_path / "plugins/tested"))


def test_folder_of_the_name_of_a_module_is_not_taken_for_it(write_plugin, monkeypatch, tmp_path):
    write_plugin("site/listed_module.py")
    (tmp_path / "listed_module").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    registry.load_plugins(["listed_module"])
    assert registry.plugin_failures == {}
    assert "foreign" in registry.names("neck")


def test_pages_of_plugins_are_found_without_importing_them(write_plugin, monkeypatch, tmp_path):
    write_plugin("plugins/own/conf/experiment/own.yaml", text="seed: 1\n")
    write_plugin("plugins/own/__init__.py", text="1 / 0\n")
    write_plugin("site/shipped/__init__.py", "shipped")
    write_plugin("site/shipped/inner.py", text="")
    write_plugin("site/shipped/conf/experiment/shipped.yaml", text="seed: 1\n")
    write_plugin("site/alone.py", "alone")
    write_plugin("site/conf/experiment/alone.yaml", text="seed: 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    registry.load_plugins(["shipped.inner", "alone"])
    pages = [str(folder.relative_to(tmp_path)) for folder in registry.plugin_pages()]
    assert sorted(pages) == ["plugins/own/conf", "site/shipped/conf"]


def test_plugins_of_a_configuration_come_from_its_parts(write_plugin):
    files = [str(write_plugin(f"{name}.py", name)) for name in ("used", "idle")]
    registry.load_plugins(files)
    config = {"model": {"necks": [{"name": "fpn"}, {"name": "used"}]}, "run_name": "idle"}
    assert registry.plugins_of(config) == files[:1]

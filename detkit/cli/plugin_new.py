"""`detkit plugin new`: write a working part for the user to change. Imports nothing heavy."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path

from detkit import registry
from detkit.config.checks.hints import with_article
from detkit.config.folders import conf_folder
from detkit.config.part_pages import all_names
from detkit.errors import UserError
from detkit.plugin_files import FOLDER, PAGES
from detkit.version import __version__

HELP = """
usage: detkit plugin new FAMILY NAME [--package]

Writes plugins/NAME, a working part for you to change:

  __init__.py                  the part, with typed settings and a docstring that detkit reads
  conf/experiment/NAME.yaml    an experiment that trains with it; exporters and writers have none
  test_NAME.py                 the tests of its family
  README.md                    how to describe it, check it and train with it

With --package it writes an installable package NAME, with an entry point through which detkit finds
the part wherever the package is installed.

  detkit plugin new neck my_neck
  detkit plugin new loss my_loss --package
"""
TEMPLATES = Path(__file__).resolve().parent.parent / "plugin_templates"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OPTION = "--package"
# Families whose parts are built from other parts, so that a template would be too long.
_WHOLES = {
    "detector": "it wires up whole networks",
    "proposer": "it is a dense head with two more methods",
    "roi_head": "it is a whole stage with five slots",
}
# Families whose parts are a page that names a part of another family, which the plugin registers.
_TRAINABLE = {"head": "layers"}
_EXAMPLES = {"detector": "one_stage", "proposer": "rpn", "roi_head": "standard"}
_NEEDED = {"reader": " data.path=DATA"}  # what the experiment cannot set itself
_USES = {  # commands that use a part which no training has
    "exporter": "detkit export RUN format={name}",
    "writer": "detkit predict ckpt=RUN source=PHOTOS format={name}",
}


def run(arguments: list[str]) -> int:
    """Write a plugin and print the next steps.

    Raises:
        UserError: The family or name is invalid, or a file is in the way.
    """
    words = [word for word in arguments if word != _OPTION]
    if len(words) != 2 or any(word.startswith("-") for word in words):  # noqa: PLR2004
        raise UserError(
            f"'detkit plugin new' takes FAMILY NAME and {_OPTION}, got '{' '.join(arguments)}': "
            "write, for example, detkit plugin new neck my_neck."
        )
    family, name = words
    _require_family(family)
    _require_name(family, name)
    is_package = _OPTION in arguments
    root = Path(name) if is_package else Path(FOLDER) / name
    _require_free(root, is_package)
    files = package_files(family, name) if is_package else folder_files(family, name)
    try:
        _write(root, files)
    except OSError as error:
        raise UserError(
            f"{root} cannot be written ({error.strerror}): start detkit in a folder where you "
            "may write."
        ) from error
    print("\n".join(["written:", *(f"  {root / path}" for path in files), "", "next:"]))
    print("\n".join(f"  {line}" for line in _next_steps(family, name, is_package)))
    return 0


def _write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def folder_files(family: str, name: str) -> dict[str, str]:
    """The files of a plugin for the folder `plugins`, by path."""
    folder = f"{FOLDER}/{name}"
    part, page, test = "__init__.py", f"{PAGES}/experiment/{name}.yaml", f"test_{name}.py"
    return {
        part: part_text(family, name),
        **_part_page(family, name),
        **_experiment(family, name, page),
        test: _test_text(family, name),
        "README.md": _filled(
            _specific(family, "readme.txt"),
            family,
            name,
            part=f"{folder}/{part}",
            page=f"{folder}/{page}",
            test=folder,
            first="",
        ),
    }


def package_files(family: str, name: str) -> dict[str, str]:
    """The files of an installable plugin, by path."""
    part, page = f"{name}/__init__.py", f"{name}/{PAGES}/experiment/{name}.yaml"
    distribution = name.replace("_", "-")
    return {
        "pyproject.toml": _filled(
            "pyproject.txt", family, name, distribution=distribution, version=__version__
        ),
        part: part_text(family, name),
        **{f"{name}/{path}": text for path, text in _part_page(family, name).items()},
        **_experiment(family, name, page),
        # Registers the part even if the package is not installed.
        "tests/conftest.py": f'from detkit import registry\n\nregistry.load_plugins(["{name}"])\n',
        f"tests/test_{name}.py": _test_text(family, name),
        "README.md": _filled(
            _specific(family, "readme.txt"),
            family,
            name,
            part=part,
            page=page,
            test="tests",
            first="- install it: `pip install -e .`\n",
        ),
    }


def part_text(family: str, name: str) -> str:
    """The module of a part of a family."""
    family = _TRAINABLE.get(family, family)
    text = (TEMPLATES / f"{family}.py").read_text(encoding="utf-8")
    return text.replace(f"my_{family}", name).replace(_class_of(f"my_{family}"), _class_of(name))


def _part_page(family: str, name: str) -> dict[str, str]:
    """The page of the part, for families whose parts are pages."""
    if family not in _TRAINABLE:
        return {}
    return {f"{PAGES}/model/{family}/{name}.yaml": _filled(f"{family}_page.txt", family, name)}


def _experiment(family: str, name: str, page: str) -> dict[str, str]:
    """The experiment page, for families that a training uses."""
    return {page: page_text(family, name)} if (TEMPLATES / f"{family}.yaml").is_file() else {}


def page_text(family: str, name: str) -> str:
    """The experiment page that uses the part."""
    text = (TEMPLATES / f"{family}.yaml").read_text(encoding="utf-8").replace(f"my_{family}", name)
    needed = _NEEDED.get(family, "")
    note = "" if needed else "\n# Your own images: add data.path=DATA"
    start = f"# @package _global_\n# detkit train experiment={name}{needed}{note}\n"
    return start + text


def _test_text(family: str, name: str) -> str:
    """The family's own test template if it has one, else the tests of its contract."""
    return _filled(_specific(family, "test.txt"), family, name)


def _specific(family: str, template: str) -> str:
    """The family's own version of a template if it has one."""
    specific = f"{family}_{template}"
    return specific if (TEMPLATES / specific).is_file() else template


def _filled(template: str, family: str, name: str, **values: str) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    values |= {"family": family, "name": name, "purpose": registry.FAMILIES[family]}
    noun = with_article(family)
    values |= {"noun": noun[0].upper() + noun[1:], "needed": _NEEDED.get(family, "")}
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], text)


def _class_of(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _require_family(family: str) -> None:
    registry.require_family(family)
    if family in _WHOLES:
        example = _EXAMPLES[family]
        raise UserError(
            f"there is no template for a {family}, because {_WHOLES[family]}: start from a copy of "
            f"'{example}' (detkit describe {family} {example} shows its file), or write one of its "
            "parts."
        )


def _require_name(family: str, name: str) -> None:
    """Refuse names that clash in Python, pytest, Hydra or the registry."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(
            f"'{name}' is not a valid plugin name: use lower-case letters, digits and underscores, "
            "beginning with a letter, such as my_neck."
        )
    for kind in filter(None, (family, _TRAINABLE.get(family))):
        if name in all_names(kind):
            raise UserError(
                f"detkit has {with_article(kind)} '{name}' of its own: choose another name."
            )
    if name in sys.stdlib_module_names or _is_installed(name):
        raise UserError(
            f"Python has a module '{name}', which a plugin of this name would hide: choose "
            f"another name, such as {name}_{family}."
        )
    if (conf_folder() / "experiment" / f"{name}.yaml").is_file():
        raise UserError(
            f"detkit has an experiment '{name}', which the experiment of this plugin would hide: "
            f"choose another name, such as {name}_{family}."
        )


def _is_installed(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    # A folder in the working directory is not an installed module, though Python may find it.
    return spec is not None and spec.origin is not None


def _require_free(root: Path, is_package: bool) -> None:
    paths = [root] if is_package else [root, root.with_suffix(".py")]
    for path in paths:
        if path.exists() or path.is_symlink():
            raise UserError(f"{path} exists already: choose another name, or move it.")


def _next_steps(family: str, name: str, is_package: bool) -> list[str]:
    needed = _NEEDED.get(family, "")
    install = [f"pip install -e {name}"] if is_package else []
    training = f"detkit train experiment={name} debug=quick{needed}"
    return [
        *install,
        f"detkit describe {family} {name}",
        f"detkit plugin check {family}/{name}",
        _USES[family].format(name=name) if family in _USES else training,
    ]

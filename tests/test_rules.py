"""Who may import whom, what loads when, and how long a file may be."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "nasplug"
PLUGINS = sorted(p for p in (ROOT / "plugins").iterdir() if (p / "__init__.py").exists())

MAY_IMPORT = {
    "contracts": {"contracts"},
    "toolkit": {"contracts", "toolkit"},
    "engine": {"contracts", "toolkit", "engine"},
    "plugins": {"contracts", "toolkit", "engine", "plugins"},
    "app": {"contracts", "toolkit", "engine", "plugins", "app"},
    "testing": {"contracts", "toolkit", "engine", "plugins", "testing"},
    "__main__": {"app"},
    "elastic": {"toolkit"},  # the public name of toolkit/elastic
}
"""The rings: a folder of nasplug/ to the folders that its files import, inside functions too."""
HEAVY = {
    "torch",
    "nni",
    "pytorch_lightning",
    "sklearn",
    "pymoo",
    "optuna",
    "fvcore",
    "pandas",
    "matplotlib",
}


def imports(path, top_only=False):
    """Modules that a file imports, those for type checkers left out."""
    tree = ast.parse(path.read_text())
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in tree.body if top_only else ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(path):
    return path.relative_to(CORE).parts[0].removesuffix(".py")


CORE_FILES = sorted(CORE.rglob("*.py"))
PLUGIN_FILES = sorted(f for p in PLUGINS for f in p.rglob("*.py"))


@pytest.mark.parametrize("path", CORE_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_keeps_its_rings_and_knows_no_plugin(path):
    names = list(imports(path))
    assert not [n for n in names if n.startswith("nasplug_")]
    if path == CORE / "__init__.py":
        return
    for name in names:
        if name.startswith("nasplug."):
            assert name.split(".")[1] in MAY_IMPORT[part(path)], f"imports {name}"
    assert "nasplug" not in names, "the public names are for plug-ins and users"
    if part(path) not in ("testing", "toolkit"):
        assert not HEAVY & {n.split(".")[0] for n in imports(path, top_only=True)}


def test_no_circle():
    graph = {}
    for path in CORE_FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[module] = set(imports(path)) if module != "nasplug" else set()
    known = {m: sorted(names & graph.keys() - {m}) for m, names in graph.items()}
    tuple(TopologicalSorter(known).static_order())  # raises CycleError


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_plugin_imports_public_names_and_no_other_plugin(path):
    own = path.relative_to(ROOT / "plugins").parts[0]
    for name in imports(path):
        if name.startswith("nasplug_"):
            assert name.split(".")[0] == own
        if name.startswith("nasplug."):
            assert not name.split(".")[-1].startswith("_")


@pytest.mark.parametrize("path", CORE_FILES + PLUGIN_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_at_most_400_lines_and_says_what_it_is(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda p: p.name)
def test_an_entry_point_is_light(plugin):
    loaded = modules_after(f"import {plugin.name}")
    assert not HEAVY & loaded


def modules_after(code):
    """Top-level packages loaded once `code` has run in a process of its own."""
    script = f"{code}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    path = [str(ROOT), str(ROOT / "plugins")]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path}\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_nasplug_loads_nothing_heavy():
    loaded = modules_after("import nasplug")
    assert not (HEAVY | {"hydra", "numpy"}) & loaded
    assert not HEAVY & modules_after(
        "import nasplug; nasplug.choices('space'); nasplug.SearchSpace"
    )


def test_every_public_name_is_there():
    import nasplug

    assert all(getattr(nasplug, name) is not None for name in nasplug.__all__)

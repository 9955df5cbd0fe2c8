"""The help texts end in examples that run."""

import csv
import shlex

import pytest
from recsys.pipelines.cli import cli as group

from recsys import __version__

COMMANDS = list(group.commands)


def example_of(text):
    *_, label, line = text.rstrip().splitlines()
    assert label.strip() == "Example:"
    assert line.strip().startswith("recsys ")
    return line.strip()


def words_of(example):
    """Each command of `a && b` as its words, without the leading `recsys`."""
    return [shlex.split(each)[1:] for each in example.split("&&")]


def test_version(cli):
    assert cli("--version").out == f"recsys, version {__version__}\n"


def test_the_help_lists_the_commands_in_the_order_of_their_use(cli):
    out = cli("--help").out
    places = [out.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert {"ingest", "train", "index", "recommend", "score", "evaluate"} <= set(COMMANDS)


def test_no_line_of_the_help_is_cut_short_at_80_columns(monkeypatch, cli):
    monkeypatch.setenv("COLUMNS", "80")
    out = cli("--help").out.partition("Commands:")[2]
    assert "..." not in out
    for name in COMMANDS:
        (line,) = [each for each in out.splitlines() if each.startswith(f"  {name} ")]
        assert line.endswith(".")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("train", "columns user_id, item_id and part, which is train, validation_fold_in,"),
        ("train", "validation_held_out, test_fold_in or test_held_out"),
        ("recommend", "the whole history of each user in it, instead of what the workspace knows"),
    ],
)
def test_the_help_says_what_a_file_holds(cli, command, said):
    assert said in " ".join(cli(command, "--help").out.split())


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_help_ends_in_an_example_that_parses(cli, name):
    result = cli(*([name] if name else []), "--help")
    assert result.code == 0
    for words in words_of(example_of(result.out)):
        while words[0].startswith("--"):  # --workspace DIR before the command
            words = words[2:]
        chosen, *rest = words
        assert name in ("", chosen)
        group.commands[chosen].make_context(chosen, rest)


@pytest.fixture(scope="module")
def numbered(tmp_path_factory, sample_file, titles_file):
    """The sample under plain numbers, as in MovieLens, whose ids the examples use."""
    folder = tmp_path_factory.mktemp("examples")
    with open(sample_file, newline="") as stream:
        rows = [[row["user_id"][1:], row["item_id"]] for row in csv.DictReader(stream)]
    plain = [f"{int(user)},{int(item.rstrip('x'))},5" for user, item in rows]
    (folder / "clicks.csv").write_text("\n".join(["user_id,item_id,rating", *plain]) + "\n")
    with open(titles_file, newline="") as stream:
        titles = [
            f'{int(row["item_id"].rstrip("x"))},"{row["title"]}"' for row in csv.DictReader(stream)
        ]
    (folder / "titles.csv").write_text("\n".join(["item_id,title", *titles]) + "\n")
    return folder


def test_the_examples_run(cli, numbered, monkeypatch):
    monkeypatch.chdir(numbered)
    for key, value in (("VAE_LATENT_DIM", 8), ("VAE_HIDDEN_DIM", 16), ("TRAINING_EPOCHS", 2)):
        monkeypatch.setenv(f"RECSYS_{key}", str(value))
    runnable = ["", "ingest", "recommend", "similar", "score", "info", "config", "verify"]
    runnable += ["evaluate", "cluster", "map"]
    for name in runnable:
        example = example_of(cli(*([name] if name else []), "--help").out)
        for words in words_of(example):
            result = cli(*words)
            below = name == "evaluate" and "is" in result.err and "below 0.4" in result.err
            assert result.code == (1 if below else 0), (words, result.err)

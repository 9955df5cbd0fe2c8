"""recsys train --verse: the couplet model of a workspace, and what is written with it."""

import json
import shutil

import pytest

VERSE = ("-S", "verse.hidden_dim=16", "-S", "verse.embedding_dim=8", "-S", "verse.latent_dim=4")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, poem_workspace):
    """The workspace with a couplet model beside; do not change it."""
    from recsys.pipelines.cli import run

    root = tmp_path_factory.mktemp("verse") / "workspace"
    shutil.copytree(poem_workspace, root)
    before = ["--workspace", str(root)]
    assert run([*before, "train", "--verse", "--epochs", "2", "--batch-size", "16", *VERSE]) == 0
    return root


def test_every_epoch_is_told_with_a_couplet_and_logged(cli, trained, tmp_path):
    root = shutil.copytree(trained, tmp_path / "workspace")
    result = cli("train", "--verse", "--epochs", "2", *VERSE, workspace=root)
    assert result.code == 0, result.err
    told = [line for line in result.err.splitlines() if line.startswith("epoch ")]
    assert len(told) == 2
    for part in ("validation -ELBO", "importance-weighted", "KL", "information", "active", "，"):
        assert part in told[0]
    log = (root / "runs" / "verse" / "metrics.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["epoch"] for line in log.splitlines()] == [1, 2]
    assert not (root / "runs" / "verse" / "checkpoint.safetensors").exists()


def test_poems_are_written_with_the_trained_model(cli, trained):
    words = ("generate", "--form", "5-jueju", "-n", "2", "--theme", "明月", "--candidates", "2")
    first, again = (cli(*words, workspace=trained) for _ in range(2))
    assert first.code == 0, first.err
    assert first.out == again.out
    assert [len(each["lines"]) for each in first.records] == [4, 4]


def test_couplets_are_written_between_two(cli, trained):
    result = cli("interpolate", "--from", "p3", "--to", "p4", "--steps", "3", workspace=trained)
    assert result.code == 0, result.err
    assert len(result.records[0]["steps"]) == 3


def test_the_couplet_model_belongs_to_the_model_it_was_trained_beside(
    cli, trained, tmp_path, tiny_flags
):
    root = shutil.copytree(trained, tmp_path / "workspace")
    flags = (*tiny_flags, "-S", "model.kind=vae", "--seed", "7")
    assert cli("train", *flags, workspace=root).code == 0
    result = cli("generate", workspace=root)
    assert (result.code, "trained beside another model" in result.complaint) == (1, True)
    assert "recsys train --verse" in result.complaint


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--split", "weak"), 2, "--verse takes no --split:"),
        (("--test-size", "9"), 2, "--verse takes no --test-size:"),
        (("--test", "a.csv"), 2, "--verse takes no --test:"),
        (("--label", "author"), 2, "--verse takes no --label"),
        (("-S", "verse.mean_scale=2"), 2, "verse.mean_scale is 2.0"),
    ],
)
def test_flags_that_mean_nothing_to_it_are_refused(cli, poem_workspace, words, code, message):
    result = cli("train", "--verse", *words, workspace=poem_workspace)
    assert (result.code, message in result.complaint) == (code, True), result.complaint


def test_an_interrupted_training_goes_on_with_its_settings(
    cli, trained, poem_workspace, tmp_path, monkeypatch
):
    """Killed after the second epoch was logged and before its checkpoint."""
    from recsys.pipelines import train_verse

    root = shutil.copytree(poem_workspace, tmp_path / "workspace")
    shown = train_verse._line

    def line(report):
        if report.epoch == 2:
            raise KeyboardInterrupt
        return shown(report)

    with monkeypatch.context() as patch:
        patch.setattr(train_verse, "_line", line)
        killed = cli(
            "train", "--verse", "--epochs", "2", "--batch-size", "16", *VERSE, workspace=root
        )
    assert (killed.code, "go on with `recsys train --verse --resume`" in killed.err) == (130, True)
    refused = cli("train", "--verse", "--resume", "--epochs", "5", workspace=root)
    assert (refused.code, "verse.epochs is 2 in" in refused.complaint) == (2, True)
    settings = root / "runs" / "verse" / "settings.json"
    begun_with = settings.read_bytes()
    for damaged in (b"", b"[]", b'{"width": 1}'):
        settings.write_bytes(damaged)
        refused = cli("train", "--verse", "--resume", workspace=root)
        assert (refused.code, f"{settings} is missing or damaged" in refused.complaint) == (1, True)
    settings.write_bytes(begun_with)
    resumed = cli("train", "--verse", "--resume", workspace=root)
    assert resumed.code == 0, resumed.err
    log = (root / "runs" / "verse" / "metrics.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["epoch"] for line in log.splitlines()] == [1, 2]
    ways = [
        cli("interpolate", "--from", "p3", "--to", "p4", workspace=each) for each in (root, trained)
    ]
    assert ways[0].out == ways[1].out


def test_nothing_is_resumed_where_nothing_was_interrupted(cli, trained):
    result = cli("train", "--verse", "--resume", *VERSE, workspace=trained)
    assert result.code == 0
    assert "nothing to resume" in result.err


def test_films_are_no_poems(cli, made):
    result = cli("train", "--verse", workspace=made)
    assert (result.code, "holds no poems" in result.complaint) == (2, True)


def test_a_workspace_without_couplet_model_names_the_command(cli, poem_workspace):
    result = cli("generate", workspace=poem_workspace)
    assert (result.code, "recsys train --verse" in result.complaint) == (1, True)

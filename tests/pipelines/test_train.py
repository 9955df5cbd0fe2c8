"""recsys train: every split and every member of the family, at the smallest size."""

import csv
import json

import pytest

SPLITS = {
    "strong": ("--validation-size", "30", "--test-size", "0.1"),
    "weak": (),
    "last": (),
    "time": (),
}


def evaluated(cli, workspace, *words):
    result = cli("evaluate", "--without-ease", *words, workspace=workspace)
    assert result.code == 0, result.err
    return result.records[0]


@pytest.mark.parametrize("split", SPLITS)
def test_a_model_is_evaluated_on_the_split_that_it_was_trained_with(
    cli, changeable, tiny_flags, split
):
    words = ("--split", split, *SPLITS[split], *tiny_flags)
    assert cli("train", *words, workspace=changeable).code == 0
    for on in ("validation", "test"):
        record = evaluated(cli, changeable, "--split", split, "--on", on, "--metrics", "ndcg@10")
        assert record["on"] == on
        assert record["n_users"] > 0
        assert 0 <= record["models"]["vae"]["ndcg@10"]["mean"] <= 1
    other = "weak" if split != "weak" else "last"
    assert cli("evaluate", "--split", other, workspace=changeable).code == 2


def test_without_a_split_everything_is_trained_on(cli, changeable, tiny_flags):
    result = cli("train", "--split", "none", *tiny_flags, workspace=changeable)
    assert result.code == 0
    assert "training on 600 users x 240 items" in result.err
    refused = cli("evaluate", workspace=changeable)
    assert refused.code == 2
    assert "the model was trained on everything (--split none)" in refused.complaint


def test_a_split_file_says_who_is_held_out(cli, changeable, tiny_flags, sample_file, tmp_path):
    with open(sample_file, newline="") as stream:
        rows = [(row["user_id"], row["item_id"]) for row in csv.DictReader(stream)]
    counts, lines = {}, ["user_id,item_id,part"]
    for user, item in rows:
        counts[user] = counts.get(user, 0) + 1
        part = "train"
        if user in ("u001", "u002", "u003"):
            part = "validation_held_out" if counts[user] % 5 == 0 else "validation_fold_in"
        if user in ("u004", "u005"):
            part = "test_held_out" if counts[user] % 5 == 0 else "test_fold_in"
        lines.append(f"{user},{item},{part}")
    path = tmp_path / "split.csv"
    path.write_text("\n".join(lines) + "\n")
    result = cli("train", "--split", path, *tiny_flags, workspace=changeable)
    assert result.code == 0, result.err
    assert "split: 3 validation users" in result.err
    record = evaluated(cli, changeable, "--split", path, "--metrics", "ndcg@10")
    assert (record["on"], record["n_users"]) == ("test", 2)


def test_test_interactions_may_come_with_the_data(cli, changeable, tiny_flags, tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("u001 001 002\nu002 003\n")
    result = cli("train", "--test", path, *tiny_flags, workspace=changeable)
    assert result.code in (0, 3), result.err
    path = tmp_path / "test.csv"
    path.write_text("user_id,item_id\nu001,150\nu001,162\nu002,150\nu002,164\n")
    result = cli("train", "--test", path, *tiny_flags, workspace=changeable)
    assert result.code == 0, result.err
    assert evaluated(cli, changeable, "--on", "test", "--metrics", "ndcg@10")["n_users"] == 2


def test_test_interactions_are_read_as_the_data_were(cli, ingested, tiny_flags, tmp_path):
    rows = [f"u{user},i{user * step % 11},5" for user in range(1, 31) for step in range(1, 7)]
    header = "who,what,rating\n"
    words = ("--user-column", "who", "--item-column", "what", "--min-rating", "4")
    root = ingested(header + "\n".join(rows) + "\n", *words, "--min-user-interactions", "2")
    path = tmp_path / "test.csv"
    path.write_text(header + "u1,i7,5\nu2,i7,1\nu3,i2,4\n")
    words = ("train", "--test", path, "--validation-size", "5", *tiny_flags)
    result = cli(*words, workspace=root)
    assert result.code == 0, result.err
    assert f"{path}: dropped 1: rating below 4" in result.err.splitlines()
    assert evaluated(cli, root, "--on", "test", "--metrics", "ndcg@5")["n_users"] == 2
    path.write_text("who,what\nu1,i7\nu2,i7\n")
    result = cli(*words, workspace=root)
    assert result.code == 0, result.err
    assert f"warning: {path} has no ratings: none of its rows is dropped by --min-rating" in (
        result.err.splitlines()
    )


def test_a_training_that_cannot_begin_is_not_to_be_resumed(cli, changeable, tiny_flags):
    huge = ("-S", "vae.latent_dim=2147483647")
    result = cli("train", *tiny_flags, *huge, workspace=changeable)
    assert result.code != 0
    assert "there is not memory enough for this training" in result.complaint
    result = cli("train", "--resume", workspace=changeable)
    assert "nothing to resume" in result.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-S", "vae.latent_dim=99999999999999999999"), 2, "expected at least 1 and at most 2147"),
        (("--split", "no such.csv"), 2, "split 'no such.csv' is neither strong"),
        (("--test", "no such.csv"), 3, "no such.csv"),
        (("--split", "weak", "--test-size", "1"), 2, "test = 1.0 with split weak"),
        (("--split", "none", "--test-size", "5"), 2, "test = 5.0 with split none"),
        (("--test-size", "600"), 3, "600"),
        (("--epochs", "0"), 2, "training.epochs is 0, expected at least 1"),
        (("--learning-rate", "0"), 2, "training.learning_rate is 0.0, expected above 0"),
        (("--split-seed", "-1"), 2, "seed = -1"),
        (("--threads", "0"), 2, "machine.threads is 0, expected at least 1"),
    ],
)
def test_what_cannot_be_trained_is_refused(cli, changeable, words, code, message):
    result = cli("train", *words, workspace=changeable)
    assert result.code == code, result.err
    assert message in result.complaint
    assert cli("recommend", "--user", "u001", workspace=changeable).code == 0


def test_without_data_there_is_nothing_to_train_on(cli, tmp_path):
    for words in (("train",), ("index",), ("evaluate",), ("score", "--output", tmp_path / "out")):
        result = cli(*words, workspace=tmp_path / "workspace")
        assert result.code == 1
        assert "make one with `recsys " in result.complaint


FAMILY = {
    "autoencoder": ("vae.autoencoder=true",),
    "composite prior": ("vae.prior=composite",),
    "one shallow layer": ("vae.encoder_layers=1", "training.learning_rate=0.02"),
    "weighted multinomial": ("vae.values=weighted",),
    "constant kl, annealed": ("vae.kl_scale=constant", "vae.anneal_epochs=2"),
    "binary gaussian": ("vae.likelihood=gaussian", "vae.values=binary"),
}


@pytest.mark.parametrize("member", FAMILY)
def test_the_whole_family_goes_through_all_stages(cli, changeable, tiny_flags, member):
    settings = [word for each in FAMILY[member] for word in ("-S", each)]
    result = cli("train", *tiny_flags, *settings, workspace=changeable)
    assert result.code == 0, result.err
    assert cli("index", workspace=changeable).code == 0
    (record,) = cli("recommend", "--item", "001", "-k", "5", workspace=changeable).records
    assert len(record["items"]) == 5
    assert set(evaluated(cli, changeable, "--metrics", "ndcg@10")["models"]["vae"]) == {"ndcg@10"}


def test_a_rating_model_is_measured_by_its_errors_too(cli, changeable, tiny_flags):
    words = ("-S", "vae.likelihood=gaussian", "--split", "weak")
    result = cli("train", *tiny_flags, *words, workspace=changeable)
    assert result.code == 0, result.err
    assert "-rmse" in result.err
    measured = evaluated(cli, changeable, "--metrics", "ndcg@10")["models"]["vae"]
    assert set(measured) == {"ndcg@10", "rmse", "mae"}
    assert 0 < measured["mae"]["mean"] <= measured["rmse"]["mean"] < 2


def test_weights_are_refused_where_the_data_have_none(cli, ingested, tiny_flags):
    workspace = ingested("user,item\na,x\na,y\nb,x\nb,y\n")
    words = ("--split", "none", "-S", "vae.values=weighted")
    result = cli("train", *tiny_flags, *words, workspace=workspace)
    assert result.code == 2
    assert "vae.values is weighted, but the data have neither ratings nor weights" in (
        result.complaint
    )


def test_every_epoch_is_told_and_logged(cli, changeable, tiny_flags):
    result = cli("train", *tiny_flags, "-S", "validate_every=1", workspace=changeable)
    lines = [line for line in result.err.splitlines() if line.startswith("epoch ")]
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        assert line.startswith(f"epoch {number}/3  loss ")
        for word in ("nats/user", "active ", "ndcg@100 ", "popularity ", "users/s", " left"):
            assert word in line
    log = (max((changeable / "runs").iterdir()) / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in log] == [1, 2, 3]
    wanted = {"loss", "reconstruction", "kl", "active_units", "validation", "floor"}
    assert wanted <= set(json.loads(log[0]))


def test_the_same_seed_gives_the_same_bytes(cli, changeable, tiny_flags):
    weights = changeable / "model" / "weights.safetensors"
    found = []
    for seed in ("5", "5", "6"):
        assert cli("train", *tiny_flags, "--seed", seed, workspace=changeable).code == 0
        found.append(weights.read_bytes())
    assert found[0] == found[1] != found[2]


def test_there_is_nothing_to_resume_after_a_finished_run(cli, changeable):
    result = cli("train", "--resume", workspace=changeable)
    assert result.code == 0
    assert result.err == "nothing to resume: no training of this workspace was interrupted\n"


@pytest.fixture
def interrupted(cli, changeable, tiny_flags, monkeypatch):
    """A workspace whose training stopped after the second of three epochs."""

    def stop(run, epoch, log=None):
        record(run, epoch)
        if epoch["epoch"] == 2:
            raise KeyboardInterrupt

    from recsys.pipelines.runs import Run

    record = Run.log
    with monkeypatch.context() as patch:
        patch.setattr(Run, "log", stop)
        stopped = cli("train", *tiny_flags, workspace=changeable)
    assert stopped.code == 130
    assert stopped.complaint == "recsys: interrupted; go on with `recsys train --resume`"
    return changeable


def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(cli, interrupted, tiny_flags):
    result = cli("train", "--resume", workspace=interrupted)
    assert result.code == 0, result.err
    (folder,) = [each for each in (interrupted / "runs").iterdir() if str(each) in result.err]
    assert f"resuming {folder} after epoch 2 of 3\n" in result.err
    weights = interrupted / "model" / "weights.safetensors"
    resumed = weights.read_bytes()
    log = max((interrupted / "runs").iterdir()) / "metrics.jsonl"
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3]
    assert cli("train", *tiny_flags, workspace=interrupted).code == 0
    assert weights.read_bytes() == resumed


def test_a_flag_that_contradicts_the_interrupted_run_is_refused(cli, interrupted, tmp_path):
    for words, message in (
        (("--epochs", "9"), "--resume: training.epochs is 3 in "),
        (("--split", "weak"), "--resume: split.kind is 'strong' in "),
        (("-S", "vae.latent_dim=9"), "--resume: vae.latent_dim is 8 in "),
        (("--test", tmp_path / "test.csv"), "--resume: the run was begun with --test None"),
    ):
        result = cli("train", "--resume", *words, workspace=interrupted)
        assert result.code == 2
        assert message in result.complaint
    assert cli("train", "--resume", "--epochs", "3", workspace=interrupted).code == 0


def test_a_run_begun_on_other_data_is_not_resumed(cli, interrupted, sample_file):
    assert cli("ingest", sample_file, "--min-rating", "4", workspace=interrupted).code == 0
    result = cli("train", "--resume", workspace=interrupted)
    assert result.code == 2
    assert "was begun on other data" in result.complaint
    assert "train again without --resume" in result.complaint


def test_a_damaged_checkpoint_is_refused(cli, interrupted):
    (checkpoint,) = (interrupted / "runs").glob("*/checkpoint.safetensors")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    result = cli("train", "--resume", workspace=interrupted)
    assert result.code == 1
    assert f"the checkpoint {checkpoint} is damaged" in result.complaint


def test_a_new_training_gives_the_interrupted_one_up(cli, interrupted, tiny_flags):
    begun = max((interrupted / "runs").iterdir())
    result = cli("train", *tiny_flags, workspace=interrupted)
    assert result.code == 0
    assert (
        f"{begun} (epoch 2 of 3) was interrupted: it is given up once this training has ended an "
        "epoch; `recsys train --resume` would go on with it\n"
    ) in result.err
    assert not list((interrupted / "runs").glob("*/checkpoint.safetensors"))
    assert "nothing to resume" in cli("train", "--resume", workspace=interrupted).err


def test_a_run_killed_before_its_last_epoch_is_logged_ends_whole(
    cli, changeable, tiny_flags, monkeypatch
):
    from recsys.pipelines.runs import Run

    def stop(run, epoch):
        if epoch["epoch"] == 3:
            raise KeyboardInterrupt
        record(run, epoch)

    record = Run.log
    words = ("train", *tiny_flags, "-S", "validate_every=1")
    assert cli(*words, workspace=changeable).code == 0
    expected = cli("info", workspace=changeable).records[1]["content"]
    with monkeypatch.context() as patch:
        patch.setattr(Run, "log", stop)
        assert cli(*words, workspace=changeable).code == 130
    result = cli("train", "--resume", workspace=changeable)
    assert result.code == 0, result.err
    assert cli("info", workspace=changeable).records[1]["content"] == expected
    log = max((changeable / "runs").iterdir()) / "metrics.jsonl"
    assert [json.loads(line)["epoch"] for line in log.read_text().splitlines()] == [1, 2, 3]


def test_a_mistyped_training_leaves_the_interrupted_one_alone(cli, interrupted):
    assert cli("train", "--split", "strnog", workspace=interrupted).code == 2
    assert list((interrupted / "runs").glob("*/checkpoint.safetensors"))
    result = cli("train", "--resume", workspace=interrupted)
    assert (result.code, "resuming" in result.err) == (0, True)


def test_a_failed_training_is_not_resumed(cli, changeable, tiny_flags):
    failed = cli("train", *tiny_flags, "-S", "learning_rate=1e30", workspace=changeable)
    assert failed.code == 1
    assert "nothing to resume" in cli("train", "--resume", workspace=changeable).err


def test_resume_makes_no_workspace(cli, tmp_path):
    result = cli("train", "--resume", workspace=tmp_path / "nowhere")
    assert result.code == 0
    assert result.err == "nothing to resume: no training of this workspace was interrupted\n"
    assert not (tmp_path / "nowhere").exists()


def test_interrupted_before_anything_is_kept_there_is_nothing_to_go_on_with(
    cli, changeable, tiny_flags, monkeypatch
):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("recsys.pipelines.train._split", stop)
    result = cli("train", *tiny_flags, workspace=changeable)
    assert (result.code, result.complaint) == (130, "recsys: interrupted")


def test_few_validation_users_are_warned_of(cli, changeable, tiny_flags):
    warning = "warning: with fewer than 50 validation users the choice of the epoch is noisy"
    result = cli("train", *tiny_flags, "--validation-size", "49", workspace=changeable)
    assert result.err.count(warning) == 1
    result = cli("train", *tiny_flags, "--validation-size", "50", workspace=changeable)
    assert warning not in result.err
    assert warning not in cli("train", *tiny_flags, "--split", "none", workspace=changeable).err


def test_a_model_that_is_not_above_its_floor_is_warned_of(cli, changeable, tiny_flags):
    idle = ("-S", "training.learning_rate=1e-9", "-S", "training.start=random")
    idle += ("-S", "model.kind=vae")
    result = cli("train", *tiny_flags, *idle, workspace=changeable)
    assert result.code == 0, result.err
    (warning,) = [line for line in result.err.splitlines() if "is not above" in line]
    assert warning.startswith("warning: ndcg@100 of the chosen epoch, 0.")
    assert "that of popularity, 0." in warning
    assert "train longer (--epochs), or give more data" in warning

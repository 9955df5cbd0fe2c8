"""Where a setting comes from, and how a wrong one is refused."""

import pytest
from recsys.pipelines.config import Settings, flatten, from_flat

from recsys import storage
from recsys.errors import ConfigError


def sources_of(result):
    return {each["key"]: (each["value"], each["source"]) for each in result.records}


def test_without_anything_every_setting_is_its_default(cli, tmp_path):
    found = sources_of(cli("config", workspace=tmp_path))
    assert found["training.epochs"] == (None, "default")
    assert {source for _, source in found.values()} == {"default"}


def test_flag_beats_environment_beats_file_beats_default(cli, tmp_path, monkeypatch):
    file = tmp_path / "recsys.toml"
    file.write_text("[training]\nepochs = 7\nseed = 3\nbatch_size = 11\n")
    monkeypatch.setenv("RECSYS_TRAINING_SEED", "4")
    monkeypatch.setenv("RECSYS_TRAINING_BATCH_SIZE", "12")
    found = sources_of(cli("config", "-S", "training.batch_size=13", workspace=tmp_path))
    assert found["training.epochs"] == (7, str(file))
    assert found["training.seed"] == (4, "RECSYS_TRAINING_SEED")
    assert found["training.batch_size"] == (13, "flag")
    assert found["training.patience"] == (0, "default")


def test_a_setting_takes_effect_and_not_only_in_the_listing(cli, changeable, monkeypatch):
    def length(*words):
        result = cli("recommend", "--user", "u001", *words, workspace=changeable)
        return len(result.records[0]["items"])

    assert length() == 10
    (changeable / "recsys.toml").write_text("[recommend]\nk = 3\n")
    assert length() == 3
    monkeypatch.setenv("RECSYS_RECOMMEND_K", "4")
    assert length() == 4
    assert length("-k", "5") == 5


def test_a_key_without_its_section_is_enough_where_it_is_unique(cli, tmp_path):
    found = sources_of(cli("config", "-S", "epochs=5", workspace=tmp_path))
    assert found["training.epochs"] == (5, "flag")
    refused = cli("config", "-S", "k=5", workspace=tmp_path)
    assert refused.code == 2
    assert "'k' could be recommend.k or score.k; write which" in refused.complaint


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "training.epoch=5",
            "unknown key 'training.epoch'; the nearest known is 'training.epochs'",
        ),
        ("latent_dims=5", "unknown key 'latent_dims'; the nearest known is 'latent_dim'"),
        ("training.epochs=many", "training.epochs is 'many', expected a whole number"),
        ("training.epochs=1.5", "training.epochs is '1.5', expected a whole number"),
        ("training.epochs=0", "training.epochs is 0, expected at least 1"),
        ("vae.dropout=1", "vae.dropout is 1.0, expected at least 0 and below 1"),
        ("vae.dropout=nan", "vae.dropout is nan, expected a finite number"),
        ("vae.prior=flat", "vae.prior is 'flat', expected one of standard, composite"),
        ("recommend.exclude_seen=maybe", "is 'maybe', expected true or false"),
        ("machine.threads=0", "machine.threads is 0, expected at least 1"),
        ("machine.device=tpu", "machine.device is 'tpu', expected auto, cpu or cuda"),
        ("training.epochs", "expected key=value, such as training.epochs=20"),
    ],
)
def test_a_wrong_setting_is_refused_with_key_value_and_what_was_expected(
    cli, tmp_path, assignment, message
):
    result = cli("config", "-S", assignment, workspace=tmp_path)
    assert result.code == 2
    assert message in result.complaint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nepoch = 5\n", "unknown key 'training.epoch'; the nearest known is"),
        ("[trainin]\nepochs = 5\n", "unknown key 'trainin.epochs'; the nearest known is"),
        ("[training]\nepochs = '5 or so'\n", "training.epochs is '5 or so', expected a whole"),
        ("[training]\nepochs = true\n", "training.epochs is True, expected a whole number"),
        ("[evaluate]\nmetrics = [1, 2]\n", "expected a list of texts"),
        ("epochs = 5\n", "epochs stands outside a section; write it under one of [ingest]"),
        ("[training\n", "is not valid TOML"),
    ],
)
def test_a_wrong_settings_file_is_refused_by_name(cli, tmp_path, text, message):
    (tmp_path / "recsys.toml").write_text(text)
    result = cli("config", workspace=tmp_path)
    assert result.code == 2
    assert message in result.complaint
    assert str(tmp_path / "recsys.toml") in result.complaint


def test_a_wrong_environment_variable_is_refused_by_name(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_TRAINING_EPOCHS", "some")
    result = cli("config", workspace=tmp_path)
    assert result.code == 2
    assert "RECSYS_TRAINING_EPOCHS: training.epochs is 'some'" in result.complaint


def test_the_listing_has_every_key_in_every_format(cli, tmp_path):
    keys = [each["key"] for each in cli("config", workspace=tmp_path).records]
    assert "ingest.min_rating" in keys
    assert "evaluate.metrics" in keys
    for chosen in ("table", "csv", "json"):
        result = cli("config", "--format", chosen, workspace=tmp_path)
        assert all(key.split(".")[1] in result.out for key in keys), chosen


def test_what_takes_one_of_some_words_or_nothing_takes_both(cli, tmp_path):
    for text, value in (("adjacency", "adjacency"), ("none", None)):
        result = cli("config", "-S", f"ingest.input_format={text}", workspace=tmp_path)
        assert sources_of(result)["ingest.input_format"] == (value, "flag")
    refused = cli("config", "-S", "ingest.input_format=xml", workspace=tmp_path)
    assert refused.code == 2
    assert "ingest.input_format is 'xml', expected one of csv, " in refused.complaint


def test_an_option_and_an_assignment_for_the_same_key_are_refused(cli, made):
    result = cli("train", "--epochs", "16", "-S", "training.epochs=3", workspace=made)
    assert result.code == 2
    assert "training.epochs has its own option on this command line too" in result.complaint


def test_of_two_assignments_the_last_holds(cli, made):
    words = ("-S", "training.epochs=3", "-S", "epochs=4")
    (found,) = (
        each
        for each in cli("config", *words, workspace=made).records
        if each["key"] == "training.epochs"
    )
    assert (found["value"], found["source"]) == (4, "flag")


def test_a_misspelt_variable_names_the_nearest(cli, made, monkeypatch):
    monkeypatch.setenv("RECSYS_TRAINING_EPOCH", "3")
    result = cli("config", workspace=made)
    assert result.code == 2
    assert "RECSYS_TRAINING_EPOCH, which is no setting; the nearest known is" in result.complaint
    assert "RECSYS_TRAINING_EPOCHS" in result.complaint


def test_settings_of_another_version_are_refused_naming_the_key():
    with pytest.raises(ConfigError, match=r"knew model\.gram_gb; train again without --resume"):
        from_flat(flatten(Settings()) | {"model.gram_gb": 4.0})


@pytest.mark.parametrize(("n_users", "latents"), [(5_000, 50), (4_999, 200)])
def test_many_poems_have_settings_of_their_own(cli, tmp_path, n_users, latents):
    interactions = tmp_path / "workspace" / "interactions"
    interactions.parent.mkdir()
    metrics = {"n_users": n_users}
    with storage.writing(
        interactions, "interactions", 2, config={"unit": "character"}, metrics=metrics
    ):
        pass
    result = cli("config", "-S", "vae.dropout=.3", workspace=interactions.parent)
    found = sources_of(result)
    source = "default for poems" if n_users == 5_000 else "default"
    assert found["vae.latent_dim"] == (latents, source)
    assert found["vae.dropout"] == (0.3, "flag")
    assert found["recommend.k"] == (10, "default")


def test_films_have_the_defaults(cli, made):
    records = cli("config", workspace=made).records
    assert "default for poems" not in {each["source"] for each in records}


def test_the_keys_of_verse_are_written_in_full(cli, made):
    records = cli("config", "-S", "epochs=7", "-S", "verse.epochs=3", workspace=made).records
    values = {each["key"]: each["value"] for each in records}
    assert (values["training.epochs"], values["verse.epochs"]) == (7, 3)


def test_none_clears_a_text_and_toml_may_hold_a_date(cli, tmp_path):
    (tmp_path / "recsys.toml").write_text("[ingest]\nsince = 2024-01-01\nuntil = 1735689600\n")
    listed = {each["key"]: each["value"] for each in cli("config", workspace=tmp_path).records}
    assert (listed["ingest.since"], listed["ingest.until"]) == ("2024-01-01", "1735689600")
    cleared = cli("config", "-S", "ingest.since=none", workspace=tmp_path).records
    assert {each["key"]: each["value"] for each in cleared}["ingest.since"] is None

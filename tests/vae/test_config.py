import dataclasses

import pytest

from recsys.errors import ConfigError
from recsys.vae.config import TrainingConfig, VAEConfig


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("likelihood", "poisson", "vae.likelihood is 'poisson', expected one of multinomial, gaus"),
        ("values", "counts", "vae.values is 'counts', expected one of auto, binary, weighted"),
        ("prior", "vamp", "vae.prior is 'vamp', expected one of standard, composite"),
        ("kl_scale", "both", "vae.kl_scale is 'both', expected one of per_click, constant"),
        ("reconstruction_weight", 0.0, "vae.reconstruction_weight is 0.0, expected above 0"),
        ("kl_weight", -0.1, "vae.kl_weight is -0.1, expected at least 0"),
        ("kl_weight", float("nan"), "vae.kl_weight is nan, expected a finite number and at lea"),
        ("kl_weight", float("inf"), "vae.kl_weight is inf, expected a finite number and at lea"),
        ("anneal_epochs", -1.0, "vae.anneal_epochs is -1.0, expected at least 0"),
        ("latent_dim", 0, "vae.latent_dim is 0, expected at least 1"),
        ("hidden_dim", 0, "vae.hidden_dim is 0, expected at least 1"),
        ("encoder_layers", 0, "vae.encoder_layers is 0, expected at least 1"),
        ("dropout", 1.0, "vae.dropout is 1.0, expected at least 0 and below 1"),
        ("dropout", -0.1, "vae.dropout is -0.1, expected at least 0 and below 1"),
    ],
)
def test_a_model_setting_out_of_range_is_refused(key, value, message):
    with pytest.raises(ConfigError) as caught:
        VAEConfig(**{key: value})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("epochs", 0, "training.epochs is 0, expected at least 1"),
        ("batch_size", 0, "training.batch_size is 0, expected at least 1"),
        ("learning_rate", 0.0, "training.learning_rate is 0.0, expected above 0"),
        ("learning_rate", float("inf"), "training.learning_rate is inf, expected a finite number"),
        ("validate_every", 0, "training.validate_every is 0, expected at least 1"),
        ("patience", -1, "training.patience is -1, expected at least 0"),
        ("seed", -1, "training.seed is -1, expected at least 0"),
        ("seed", 10**23, "training.seed is 100000000000000000000000, expected at least 0 and"),
    ],
)
def test_a_training_setting_out_of_range_is_refused(key, value, message):
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(**{key: value})
    assert str(caught.value).startswith(message)


def test_values_at_the_edges_are_accepted():
    VAEConfig(kl_weight=0, anneal_epochs=0, latent_dim=1, hidden_dim=1, encoder_layers=1, dropout=0)
    TrainingConfig(epochs=1, batch_size=1, validate_every=1, patience=0, seed=0)


def test_only_a_weighted_gaussian_predicts_ratings():
    assert VAEConfig(likelihood="gaussian", values="weighted").predicts_ratings
    assert not VAEConfig(likelihood="gaussian", values="binary").predicts_ratings
    assert not VAEConfig(likelihood="multinomial", values="weighted").predicts_ratings


def test_a_config_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        VAEConfig().latent_dim = 3

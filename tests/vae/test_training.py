import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from small_vae import FAMILY, SHORT, SMALL, assert_same_bits

from recsys.baselines import Popularity, mean_metric
from recsys.errors import DataError, TrainingError
from recsys.metrics import DEFAULT_VALIDATION_METRIC
from recsys.vae import member as member_module
from recsys.vae import tally
from recsys.vae import training as training_module
from recsys.vae.config import TrainingConfig
from recsys.vae.member import Member
from recsys.vae.model import VAE
from recsys.vae.schedule import annealed, cosine_rate
from recsys.vae.training import train

ROOT = Path(__file__).parents[2]


class StoppedError(Exception):
    """What a test raises where a process would have been killed."""


@pytest.fixture(scope="module")
def data(interactions_of):
    """Thirty users in two camps, with values from 1 to 5."""
    rng = np.random.default_rng(0)
    liked = np.kron(np.eye(2), np.ones((15, 6))) * 0.7 + 0.1
    dense = (rng.random((30, 12)) < liked) * rng.integers(1, 6, (30, 12))
    dense[:, 0] = 1
    return interactions_of(dense)


def spread(score) -> float:
    """A validation that depends on the weights."""
    scores = score(csr_array(np.eye(12, dtype=np.float32)))
    return float(scores.std())


def scripted(values):
    """A validation that gives these values in turn, and the scores that it was shown."""
    remaining, shown = iter(values), []

    def validate(score) -> float:
        shown.append(score(csr_array(np.eye(12, dtype=np.float32))))
        return next(remaining)

    return validate, shown


# --- same seed, same bits; resuming


@pytest.mark.parametrize("name", FAMILY)
def test_the_same_seed_gives_the_same_bits(data, name):
    assert_same_bits(train(data, FAMILY[name], SHORT), train(data, FAMILY[name], SHORT))


def test_another_seed_gives_another_model(data):
    one = train(data, SMALL, SHORT)
    other = train(data, SMALL, replace(SHORT, seed=4))
    assert not torch.equal(one.members[0].decoder.weight, other.members[0].decoder.weight)


def test_members_differ_and_the_first_is_the_one_that_trains_alone(data):
    both = train(data, replace(SMALL, members=2), SHORT)
    first, second = both.members
    assert not torch.equal(first.decoder.weight, second.decoder.weight)
    assert_same_bits(replace(both, members=(first,)), train(data, SMALL, SHORT))


def test_the_report_is_of_all_members(data):
    seen = {}
    for members in (1, 2):
        config = replace(SMALL, members=members)
        train(
            data,
            config,
            replace(SHORT, epochs=1),
            on_epoch=lambda r, m=members: seen.update({m: r}),
        )
    assert (seen[1].latent_dim, seen[2].latent_dim) == (4, 8)
    assert seen[2].loss == pytest.approx(seen[1].loss, rel=0.1)  # the mean, not the sum


def test_training_leaves_the_number_of_threads_alone(data):
    before = torch.get_num_threads()
    train(data, replace(SMALL, members=2), SHORT)
    assert torch.get_num_threads() == before


def test_training_leaves_the_global_random_state_alone(data):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(data, replace(SMALL, prior="composite"), replace(SHORT, epochs=1))
    assert torch.equal(torch.rand(3), expected)


@pytest.fixture
def every_epoch_kept(monkeypatch):
    monkeypatch.setattr("recsys.vae.training.CHECKPOINT_SHARE", float("inf"))


def test_checkpoints_take_no_more_than_their_share_of_the_time(data, tmp_path, monkeypatch):
    written = []
    save = training_module.save_checkpoint
    monkeypatch.setattr(
        training_module,
        "save_checkpoint",
        lambda path, state: written.append(state.epoch) or save(path, state),
    )
    for share, expected in ((float("inf"), [1, 2, 3, 4]), (0.0, [1, 4])):
        monkeypatch.setattr(training_module, "CHECKPOINT_SHARE", share)
        train(data, SMALL, SHORT, checkpoint=tmp_path / f"{share}")
        assert written == expected
        written.clear()


@pytest.mark.usefixtures("every_epoch_kept")
@pytest.mark.parametrize("stop_after", [1, 2, 3, 4])
@pytest.mark.parametrize("name", FAMILY)
def test_a_resumed_training_ends_with_the_bits_of_an_unbroken_one(data, tmp_path, name, stop_after):
    def stop(report) -> None:
        if report.epoch == stop_after:
            raise StoppedError

    config = FAMILY[name]
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(StoppedError):
        train(data, config, SHORT, validate=spread, on_epoch=stop, checkpoint=checkpoint)
    seen = []
    resumed = train(
        data, config, SHORT, validate=spread, on_epoch=seen.append, checkpoint=checkpoint
    )
    # The epoch that was stopped before its checkpoint is done again.
    assert [each.epoch for each in seen] == list(range(stop_after, 5))
    assert_same_bits(resumed, train(data, config, SHORT, validate=spread))


def test_a_training_stopped_after_every_epoch_ends_with_the_same_bits(data, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    for last in range(2, SHORT.epochs + 1):

        def stop(report, last=last) -> None:
            if report.epoch == last:
                raise StoppedError

        with pytest.raises(StoppedError):
            train(data, SMALL, SHORT, on_epoch=stop, checkpoint=checkpoint)
    resumed = train(data, SMALL, SHORT, checkpoint=checkpoint)
    assert_same_bits(resumed, train(data, SMALL, SHORT))


@pytest.mark.usefixtures("every_epoch_kept")
def test_the_best_epoch_survives_a_resume(data, tmp_path):
    def stop(report) -> None:
        if report.epoch == 3:
            raise StoppedError

    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(StoppedError):
        train(
            data,
            SMALL,
            SHORT,
            validate=scripted([1, 9, 2])[0],
            on_epoch=stop,
            checkpoint=checkpoint,
        )
    seen = []
    resumed = train(
        data,
        SMALL,
        SHORT,
        validate=scripted([2, 3])[0],
        on_epoch=seen.append,
        checkpoint=checkpoint,
    )
    assert (seen[-1].best_epoch, seen[-1].best_validation) == (2, 9)
    assert_same_bits(resumed, train(data, SMALL, SHORT, validate=scripted([1, 9, 2, 3])[0]))


KILLED = """
import sys
import numpy as np
from pathlib import Path
from scipy.sparse import csr_array
from safetensors.torch import save_file
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.training import train

rng = np.random.default_rng(0)
matrix = csr_array((rng.random((400, 60)) < 0.2).astype(np.float32))
users = IdMap.in_order(map(str, range(400)), "user")
items = IdMap.in_order(map(str, range(60)), "item")
config = VAEConfig(values="binary", latent_dim=8, hidden_dim=32, prior="composite")
vae = train(
    Interactions(users, items, matrix),
    config,
    TrainingConfig(epochs=30, batch_size=10, seed=5),
    validate=lambda score: float(score(matrix[:5]).std()),
    checkpoint=Path(sys.argv[1]),
)
save_file(vae.members[0].state_dict(), sys.argv[2])
"""


@pytest.mark.slow
def test_a_training_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    rng = np.random.default_rng(time.time_ns())
    command = [sys.executable, "-c", KILLED]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    subprocess.run([*command, tmp_path / "c1", unbroken], env=environment, check=True)
    n_kills = 0
    while not broken.exists():
        child = subprocess.Popen([*command, tmp_path / "c2", broken], env=environment)
        try:
            # Long enough for the imports; after a few kills it may run to its end.
            child.wait(timeout=600 if n_kills == 4 else rng.uniform(2, 5))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            n_kills += 1
        else:
            assert child.returncode == 0
    assert n_kills > 0
    assert broken.read_bytes() == unbroken.read_bytes()


# --- which epoch is kept


def test_the_weights_of_the_best_epoch_are_kept(data):
    validate, shown = scripted([1, 3, 2, 0])
    vae = train(data, SMALL, SHORT, validate=validate)
    kept = vae.score(csr_array(np.eye(12, dtype=np.float32)))
    np.testing.assert_array_equal(kept, shown[1])


def test_the_first_of_equally_good_epochs_is_kept(data):
    validate, shown = scripted([2, 2, 2, 2])
    vae = train(data, SMALL, SHORT, validate=validate)
    np.testing.assert_array_equal(vae.score(csr_array(np.eye(12, dtype=np.float32))), shown[0])


def test_without_validation_the_last_epoch_is_kept(data):
    best_is_last = train(data, SMALL, SHORT, validate=scripted([1, 1, 1, 2])[0])
    seen = []
    assert_same_bits(train(data, SMALL, SHORT, on_epoch=seen.append), best_is_last)
    assert [each.validation for each in seen] == [None] * 4
    assert seen[-1].best_epoch == 4


def test_validation_takes_place_every_few_epochs_and_after_the_last(data):
    seen = []
    training = replace(SHORT, epochs=5, validate_every=2)
    train(data, SMALL, training, validate=scripted([1, 2, 3])[0], on_epoch=seen.append)
    assert [each.validation for each in seen] == [None, 1, None, 2, 3]
    assert [each.best_epoch for each in seen] == [0, 2, 2, 4, 5]


def test_patience_stops_after_so_many_validations_without_a_new_best(data):
    seen = []
    training = replace(SHORT, epochs=20, validate_every=2, patience=2)
    validate, _ = scripted([1, 2, 2, 1])
    train(data, SMALL, training, validate=validate, on_epoch=seen.append)
    assert [each.epoch for each in seen] == list(range(1, 9))
    assert seen[-1].best_epoch == 4


def test_patience_is_off_by_default(data):
    seen = []
    values = [9, *[0] * 9]
    training = replace(SHORT, epochs=10)
    train(data, SMALL, training, validate=scripted(values)[0], on_epoch=seen.append)
    assert len(seen) == 10


# --- the composite prior


def test_the_composite_prior_knows_the_posterior_that_a_user_had_last(data, monkeypatch):
    seen, rows = [], []
    real, real_gradient = member_module.composite_kl, Member.add_gradient

    def watched(latents, *normals):
        seen.append([each.detach() for each in normals])
        return real(latents, *normals)

    def noted(member, batch, kl_weight):
        rows.append(batch.rows)
        return real_gradient(member, batch, kl_weight)

    monkeypatch.setattr(member_module, "composite_kl", watched)
    monkeypatch.setattr(Member, "add_gradient", noted)
    config = replace(SMALL, prior="composite")
    train(data, config, replace(SHORT, batch_size=10))  # three steps in each of four epochs
    last = {}
    for users, (mean, log_variance, old_mean, old_log_variance) in zip(rows, seen, strict=True):
        for place, user in enumerate(users.tolist()):
            expected = last.get(user, (torch.zeros(4), torch.zeros(4)))
            torch.testing.assert_close(old_mean[place], expected[0], atol=2e-3, rtol=2e-3)
            torch.testing.assert_close(old_log_variance[place], expected[1], atol=2e-3, rtol=2e-3)
            last[user] = mean[place], log_variance[place]
    assert len(rows) == 12
    assert len(last) == data.n_users


# --- schedules


def test_the_learning_rate_falls_on_a_cosine_over_every_step(data, monkeypatch):
    rates = []

    class WatchedAdam(torch.optim.Adam):
        def step(self, *arguments):
            rates.append(self.param_groups[0]["lr"])
            return super().step(*arguments)

    monkeypatch.setattr(training_module.torch.optim, "Adam", WatchedAdam)
    train(data, SMALL, SHORT)  # 30 users in batches of 8: 4 steps in each of 4 epochs
    expected = [0.01 * (1 + math.cos(math.pi * step / 16)) / 2 for step in range(16)]
    assert rates == pytest.approx(expected)


def test_the_cosine_starts_at_the_full_rate_and_ends_at_zero():
    assert cosine_rate(0.3, 0) == 0.3
    assert cosine_rate(0.3, 0.5) == pytest.approx(0.15)
    assert cosine_rate(0.3, 1) == pytest.approx(0)


def test_the_weight_of_the_kl_grows_linearly_and_stays():
    config = replace(SMALL, kl_weight=0.4, anneal_epochs=8)
    assert [annealed(config, done) for done in (0, 2, 8, 100)] == pytest.approx([0, 0.1, 0.4, 0.4])
    assert annealed(replace(SMALL, kl_weight=0.4), 0) == 0.4


def test_a_report_adds_up(data):
    seen = []
    train(data, SMALL, SHORT, on_epoch=seen.append)
    for each in seen:
        assert each.loss == pytest.approx(each.reconstruction + each.kl)
        assert each.users_per_second > 0
        assert (each.n_epochs, each.latent_dim) == (4, 4)
    assert seen[-1].seconds_left == 0


def test_an_autoencoder_has_no_kl(data):
    seen = []
    train(data, FAMILY["autoencoder"], SHORT, on_epoch=seen.append)
    assert [each.kl for each in seen] == [0, 0, 0, 0]


# --- refusals


def test_a_collapsed_latent_space_stops_the_run_with_advice(data, tmp_path):
    seen, checkpoint = [], tmp_path / "checkpoint"
    config = replace(SMALL, prior="standard", kl_weight=1e4)
    training = replace(SHORT, epochs=9)
    with pytest.raises(TrainingError) as caught:
        train(data, config, training, on_epoch=seen.append, checkpoint=checkpoint)
    assert str(caught.value) == (
        f"the latent space has collapsed: no unit of 4 is active after epoch {len(seen)}; "
        "lower vae.kl_weight (now 10000) or raise vae.anneal_epochs"
    )
    assert seen[-1].active_units == 0
    with pytest.raises(TrainingError, match="has collapsed"):  # resuming does not hide it
        train(data, config, training, checkpoint=checkpoint)


def test_a_collapse_after_the_last_epoch_is_not_hidden_by_resuming(data, tmp_path, monkeypatch):
    monkeypatch.setattr(tally, "ACTIVE_VARIANCE", 1e9)
    training, checkpoint = replace(SHORT, epochs=3), tmp_path / "checkpoint"
    for _ in range(2):
        with pytest.raises(TrainingError, match="no unit of 4 is active after epoch 3"):
            train(data, SMALL, training, checkpoint=checkpoint)


def test_an_annealed_run_is_given_time_before_it_is_called_collapsed(data):
    config = replace(SMALL, kl_weight=1e4, anneal_epochs=1e6)
    train(data, config, replace(SHORT, epochs=5))


def test_an_autoencoder_is_never_called_collapsed(data):
    train(data, replace(SMALL, autoencoder=True), replace(SHORT, learning_rate=1e-9))


def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_validated(data, tmp_path):
    matrix = data.matrix.copy()
    matrix.data[5] = np.inf
    broken, checkpoint = replace(data, matrix=matrix), tmp_path / "checkpoint"
    config = replace(SMALL, values="weighted")
    for _ in range(2):  # the second time where a checkpoint might have been left
        with pytest.raises(TrainingError) as caught:
            train(broken, config, SHORT, validate=spread, checkpoint=checkpoint)
        assert str(caught.value) == (
            "the loss (nan) is no longer finite after epoch 1: lower training.learning_rate "
            "(now 0.01) to a third, say, and train again"
        )


def test_a_learning_rate_that_is_far_too_high_stops_the_run(data):
    config = replace(SMALL, likelihood="gaussian")
    training = replace(SHORT, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"no longer finite after epoch 1: lower training\.le"):
        train(data, config, training, validate=spread)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 5), "training needs at least two users, found 1: there is nothing to compare"),
        ((5, 1), "training needs at least two items, found 1: there is nothing to compare"),
    ],
)
def test_one_user_or_one_item_is_refused(interactions_of, shape, message):
    with pytest.raises(DataError) as caught:
        train(interactions_of(np.ones(shape)), SMALL, SHORT)
    assert str(caught.value) == message


def test_negative_weights_are_refused_under_the_multinomial_likelihood(interactions_of):
    data = interactions_of([[1, -2.5], [1, 1]])
    with pytest.raises(DataError) as caught:
        train(data, replace(SMALL, values="weighted"), SHORT)
    assert str(caught.value) == (
        "the multinomial likelihood needs weights of at least 0, found -2.5; set "
        "vae.likelihood=gaussian or vae.values=binary"
    )
    train(data, SMALL, SHORT)
    train(data, replace(SMALL, values="weighted", likelihood="gaussian"), SHORT)


# --- known answers


def test_the_model_learns_the_known_tastes_of_the_sample(split, trained, recommender, sample):
    model = mean_metric(trained.score, split.test, DEFAULT_VALIDATION_METRIC)
    popular = Popularity.fit(split.train).score
    floor = mean_metric(popular, split.test, DEFAULT_VALIDATION_METRIC)
    assert model > 1.5 * floor
    users = list(split.test.fold_in.users.ids)
    listed = [
        sample.genre_of[item.item] in sample.tastes_of[each.user]
        for each in recommender.recommend(users, k=10)
        for item in each.items
    ]
    unseen = [
        sample.genre_of[item.item] in sample.tastes_of[each.user]
        for each in recommender.recommend(users, k=recommender.vae.n_items)
        for item in each.items
    ]
    assert np.mean(listed) > 3 * np.mean(unseen)


def test_a_gaussian_model_of_ratings_is_far_better_than_the_items_means(interactions_of, matrix_of):
    rng = np.random.default_rng(1)
    truth = 4 * rng.normal(size=(400, 2)) @ rng.normal(size=(2, 40)) / 1.4 + rng.normal(size=40)
    ratings = np.clip(truth + 0.3 * rng.normal(size=truth.shape), -10, 10)
    ratings[ratings == 0] = 0.01
    given = rng.random(ratings.shape) < 0.6
    hidden = ~given & (rng.random(ratings.shape) < 0.5)
    wider = replace(FAMILY["gaussian ratings"], latent_dim=8, hidden_dim=64, members=2)
    config = replace(wider, kl_weight=0.001, dropout=0.2)
    training = TrainingConfig(epochs=60, batch_size=50, learning_rate=5e-3)
    data = interactions_of(np.where(given, ratings, 0)[:300])
    vae = train(data, config, training)
    # Strong generalisation: the last hundred users are new to the model.
    predicted = vae.score(matrix_of(np.where(given, ratings, 0)[300:]))
    new_hidden, new_ratings = hidden[300:], ratings[300:]

    def rmse(values) -> float:
        return float(np.sqrt(np.mean((values - new_ratings)[new_hidden] ** 2)))

    assert rmse(predicted) < 0.6 * rmse(np.tile(vae.item_means, (100, 1)))
    assert vae.liked_value == pytest.approx(data.matrix.data.max())


def test_scores_of_a_rating_model_are_in_the_unit_of_the_ratings(data):
    vae = train(data, FAMILY["gaussian ratings"], SHORT)
    means = data.matrix.sum(0) / data.item_counts()
    np.testing.assert_allclose(vae.item_means, means, rtol=1e-6)
    empty = csr_array((1, 12), dtype=np.float32)
    assert np.abs(vae.score(empty)[0] - means).max() < 1


def test_scores_that_are_not_finite_stop_the_run_though_the_weights_are(data, monkeypatch):
    def broken(self, histories):
        return np.full((histories.shape[0], 12), np.nan, dtype=np.float32)

    monkeypatch.setattr(VAE, "score", broken)
    with pytest.raises(TrainingError, match="the scores are no longer finite after epoch 1: lower"):
        train(data, SMALL, SHORT, validate=spread)


def test_a_full_device_stops_the_run_with_advice(data):
    def full(score) -> float:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    with pytest.raises(TrainingError, match="no memory left: train with --device cpu"):
        train(data, SMALL, SHORT, validate=full)


def test_a_validation_figure_that_is_not_a_number_stops_the_run(split, small_config):
    with pytest.raises(TrainingError, match="the validation figure is not a number after epoch 1"):
        train(
            split.train,
            small_config,
            TrainingConfig(epochs=1),
            validate=lambda score: float("nan"),
        )

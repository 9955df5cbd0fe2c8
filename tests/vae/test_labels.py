from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from recsys.data.ids import IdMap
from recsys.data.splits import Split
from recsys.errors import ArtefactError, ConfigError, DataError
from recsys.vae.artefact import load_model, open_model, save_model
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.labels import (
    UNKNOWN,
    LabelLoss,
    Labels,
    LabelSet,
    find_labels,
    first_values,
    label_accuracy,
    label_nll,
)
from recsys.vae.training import train

SMALL = VAEConfig(
    values="binary", latent_dim=4, hidden_dim=8, encoder_layers=2, kl_weight=0.01, members=1
)
SHORT = TrainingConfig(epochs=4, batch_size=8, learning_rate=0.01, validate_every=2, seed=3)
FAMILY = {
    "one member": SMALL,
    "two members": replace(SMALL, members=2),
    "sampled softmax": replace(SMALL, softmax="sampled", negatives=3),
}
CAMPS = LabelSet("users", ("left", "right"))


@pytest.fixture(scope="module")
def data(interactions_of):
    """Sixty users in two camps, each with six items of its own and a few of the other's."""
    rng = np.random.default_rng(0)
    chances = np.kron(np.eye(2), np.ones((30, 6))) * 0.7 + 0.1
    dense = (rng.random((60, 12)) < chances).astype(float)
    dense[:, 0] = 1
    return interactions_of(dense)


def camps(on, n, n_known):
    """The first half is left, the second right; `n_known` of each half are known."""
    positions = np.full(n, UNKNOWN, dtype=np.int64)
    positions[:n_known], positions[n // 2 : n // 2 + n_known] = 0, 1
    return Labels(replace(CAMPS, on=on), positions)


def same_bits(one, other) -> bool:
    ours, theirs = (torch.nn.ModuleList(each.members).state_dict() for each in (one, other))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def whole(data) -> Split:
    return Split(train=data, validation=None, test=None, left_out=())


# --- collecting


def test_the_first_of_several_values_is_the_label():
    cells = {"a": "Drama|War", "b": "War", "c": "", "d": "|Drama"}
    assert first_values(cells) == {"a": "Drama", "b": "War"}


def test_names_of_few_are_put_aside_and_counted():
    ids = IdMap.in_order([f"u{n}" for n in range(8)], "user")
    label_of = dict(zip(ids.ids, ["x", "y", "y", "z", "x", "y", "w"], strict=False))
    found = find_labels(ids, label_of | {"stranger": "w"}, on="users", fewest=2)
    assert found.labels.kind == LabelSet("users", ("y", "x"))
    assert found.labels.positions.tolist() == [1, 0, 0, -1, 1, 0, -1, -1]
    assert (found.labels.n_known, found.n_rare_names, found.n_rare_bearers) == (5, 2, 2)


def test_one_label_alone_tells_nothing_apart():
    ids = IdMap.in_order(["a", "b", "c"], "item")
    with pytest.raises(DataError, match="of 2 labels 1 stand for 2 items or more, expected at le"):
        find_labels(ids, {"a": "x", "b": "x", "c": "y"}, on="items", fewest=2)


def test_held_out_labels_are_in_one_part_alone():
    both = camps("users", 40, 15)
    kept, held_out = both.parted(0.2, seed=5)
    assert (kept.n_known, held_out.n_known) == (24, 6)
    assert ((kept.positions == UNKNOWN) | (held_out.positions == UNKNOWN)).all()
    np.testing.assert_array_equal(np.maximum(kept.positions, held_out.positions), both.positions)
    again = both.parted(0.2, seed=5)[1]
    np.testing.assert_array_equal(again.positions, held_out.positions)


# --- the loss


def test_the_cross_entropy_is_that_of_the_known_labels():
    logits = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    positions = np.array([2, UNKNOWN, 0, UNKNOWN])
    expected = -log_softmax(logits, axis=1)[[0, 2], [2, 0]].sum()
    found = label_nll(torch.from_numpy(logits), torch.from_numpy(positions))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    nobody = label_nll(torch.from_numpy(logits), torch.full((4,), UNKNOWN))
    assert float(nobody) == 0


def test_items_add_their_mean_for_each_user():
    labels = camps("items", 6, 2)
    head = torch.nn.Linear(3, 2)
    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    loss = LabelLoss(head, labels, 2.0)
    everything = loss.of_items(rows, None, n_users=5)
    known = torch.tensor([0, 1, 3, 4])
    expected = 2 * 5 / 6 * label_nll(head(rows[known]), torch.tensor([0, 0, 1, 1]))
    torch.testing.assert_close(everything, expected)
    some = torch.tensor([1, 2])
    expected = 2 * 5 / 2 * label_nll(head(rows[[1]]), torch.tensor([0]))
    torch.testing.assert_close(loss.of_items(rows[some], some, n_users=5), expected)


# --- training


@pytest.mark.parametrize("name", FAMILY)
def test_labels_without_weight_leave_the_vae_as_it_is(data, name):
    plain = train(data, FAMILY[name], SHORT)
    # Of a second member the initial weights are drawn after the first one's head.
    first = replace(plain, members=plain.members[:1])
    for labels in (camps("users", 60, 30), camps("items", 12, 6)):
        labelled = train(data, replace(FAMILY[name], label_weight=0.0), SHORT, labels=labels)
        module = labelled.members[0]
        assert module.labels is not None
        module.labels = None
        assert same_bits(replace(labelled, members=(module,)), first)


@pytest.mark.parametrize("name", FAMILY)
def test_a_camp_is_told_by_few_labels(data, name):
    labels = camps("users", 60, 5)
    config = replace(FAMILY[name], dropout=0.1)
    vae = train(data, config, replace(SHORT, epochs=30), labels=labels)
    told = vae.label_probabilities(data.matrix)
    assert (told.shape, told.dtype) == ((60, 2), np.float32)
    np.testing.assert_allclose(told.sum(axis=1), 1, rtol=1e-5)
    truth = np.repeat([0, 1], 30)
    truth[labels.positions != UNKNOWN] = UNKNOWN
    assert label_accuracy(told, truth) > 0.85


@pytest.mark.parametrize("name", FAMILY)
def test_items_are_told_by_the_decoders_rows(data, name):
    config = replace(FAMILY[name], label_weight=30.0)
    labels = camps("items", 12, 6)
    vae = train(data, config, replace(SHORT, epochs=30), labels=labels)
    told = vae.item_label_probabilities()
    assert (told.shape, told.dtype) == ((12, 2), np.float32)
    assert label_accuracy(told, labels.positions) > 0.9


def test_users_without_a_label_add_nothing_to_the_labels_loss(data):
    losses = []
    for n_known in (5, 30):
        config = replace(SMALL, label_weight=1.0)
        reports = []
        train(
            data,
            config,
            replace(SHORT, epochs=1, batch_size=60),
            labels=camps("users", 60, n_known),
            on_epoch=reports.append,
        )
        (report,) = reports
        losses.append(report.labels)
        assert report.loss == pytest.approx(report.reconstruction + report.kl + report.labels)
    assert losses[1] / losses[0] == pytest.approx(6, rel=0.5)


def test_the_accuracy_is_reported_when_validation_is_due(data):
    reports = []
    shown = []

    def accuracy(vae) -> float:
        shown.append(vae.label_probabilities(data.matrix))
        return len(shown) / 10

    train(
        data,
        SMALL,
        SHORT,
        labels=camps("users", 60, 9),
        label_accuracy=accuracy,
        on_epoch=reports.append,
    )
    assert [each.label_accuracy for each in reports] == [None, 0.1, None, 0.2]
    assert (shown[0] != shown[1]).any()


@pytest.mark.parametrize("on", ["users", "items"])
def test_a_training_with_labels_goes_on_to_the_bit(data, tmp_path, on):
    class StoppedError(Exception):
        """Where a process would have been killed."""

    def stop(report) -> None:
        if report.epoch == 2:
            raise StoppedError

    labels = camps(on, 60 if on == "users" else 12, 4)
    path = tmp_path / "checkpoint"
    whole_run = train(data, SMALL, SHORT, labels=labels)
    with pytest.raises(StoppedError):
        train(data, SMALL, SHORT, labels=labels, checkpoint=path, on_epoch=stop)
    other = camps(on, len(labels.positions), 3)
    with pytest.raises(ArtefactError, match="other data, with other settings or by another"):
        train(data, SMALL, SHORT, labels=other, checkpoint=path)
    assert same_bits(train(data, SMALL, SHORT, labels=labels, checkpoint=path), whole_run)


# --- the model


@pytest.mark.parametrize("on", ["users", "items"])
def test_the_head_is_stored_with_the_model(data, tmp_path, on):
    labels = camps(on, 60 if on == "users" else 12, 4)
    vae = train(data, replace(SMALL, members=2), SHORT, labels=labels)
    save_model(vae, whole(data), tmp_path / "model", training={}, metrics={}, fingerprints={})
    loaded = load_model(open_model(tmp_path / "model"))
    assert loaded.labels == labels.kind
    assert same_bits(loaded, vae)
    if on == "users":
        ours, theirs = (each.label_probabilities(data.matrix) for each in (loaded, vae))
    else:
        ours, theirs = (each.item_label_probabilities() for each in (loaded, vae))
    np.testing.assert_array_equal(ours, theirs)


def test_labels_of_the_other_side_are_refused(data):
    plain = train(data, SMALL, replace(SHORT, epochs=1))
    with pytest.raises(ConfigError, match="trained with no labels, expected labels of users"):
        plain.label_probabilities(data.matrix)
    of_items = train(data, SMALL, replace(SHORT, epochs=1), labels=camps("items", 12, 4))
    with pytest.raises(ConfigError, match="with labels of items, expected labels of users; run"):
        of_items.label_probabilities(data.matrix)
    assert asdict(of_items.labels) == {"on": "items", "names": ("left", "right")}

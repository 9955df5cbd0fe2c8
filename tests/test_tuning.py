from dataclasses import asdict, replace

import numpy as np
import pytest

from recsys.fusion import TAUS, SparsePath
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.item_item import fit_item_item
from recsys.neighbours.neighbourhoods import Neighbourhoods
from recsys.tuning import MOST_TRIALS, STEP_ERRORS, STEPS, Trial, _changed, n_trials, search

START = NeighboursConfig(n_neighbours=20, ridge=20.0)


def trial(by_user) -> Trial:
    return Trial(START, SparsePath(None, 1.0), np.array(by_user, dtype=float))


def test_a_trial_beats_another_by_more_than_some_standard_errors():
    """Differences .2 and 0: mean .1, standard error .1; three of .2 push the mean above it."""
    level = trial([0.5, 0.5])
    assert not trial([0.7, 0.5]).beats(level, 1.0)
    assert trial([0.7, 0.6]).beats(level, 1.0)
    assert not level.beats(level, 1.0)


def test_more_than_one_standard_error_can_be_asked_for():
    level, ahead = trial([0.5, 0.5]), trial([0.7, 0.6])  # by .15 with an error of .05
    assert ahead.beats(level, 2.9)
    assert not ahead.beats(level, 3.1)


def test_one_user_settles_nothing():
    assert not trial([1.0]).beats(trial([0.0]), 1.0)


def test_the_number_of_trials_falls_with_the_catalogue():
    counts = [n_trials(n) for n in (10, 10**5, 2 * 10**5, 10**6, 10**7)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == MOST_TRIALS
    assert 2 <= counts[2] < MOST_TRIALS
    assert counts[-2:] == [0, 0]


@pytest.fixture
def recorded(split):
    """Search the tiny split's neighbours; gives what was chosen and the trials."""

    def run(start, trials, dense=None):
        seen = []
        best = search(
            split.train,
            start,
            dense,
            split.validation,
            trials=trials,
            n_threads=1,
            on_trial=seen.append,
        )
        return best, seen

    return run


def changed_values(one: NeighboursConfig, other: NeighboursConfig) -> list[str]:
    return [key for key, value in asdict(one).items() if getattr(other, key) != value]


def test_a_trial_changes_one_value_of_the_best_and_none_comes_twice(recorded):
    _, trials = recorded(replace(START, ridge=2000.0), 12)
    configs = [each.config for each in trials]
    assert len(set(configs)) == len(configs) > 6
    best = trials[0]
    for each in trials[1:]:
        (key,) = changed_values(each.config, best.config)
        assert key in dict(STEPS)
        if each.beats(best, STEP_ERRORS):
            best = each


@pytest.mark.parametrize(
    ("key", "before", "step", "after"),
    [
        ("user_exponent", 0.9, 0.3, 1.2),
        ("user_exponent", 1.9, 0.3, None),
        ("user_exponent", 0.2, -0.3, None),
        ("dropout", 0.9, 0.2, None),
        ("dropout", 0.1, -0.2, None),
    ],
)
def test_a_step_stays_within_the_range_of_its_value(key, before, step, after):
    found = _changed(replace(START, **{key: before}), key, step)
    assert (found and getattr(found, key)) == after


def test_a_bad_start_is_left_behind(recorded):
    """With next to no ridge and no dropout, chance neighbours explain an item."""
    bad = replace(START, ridge=0.01, dropout=0.0)
    best, trials = recorded(bad, 12)
    assert changed_values(best.config, bad)
    assert best.by_user.mean() > trials[0].by_user.mean() + 0.01


def test_where_no_step_helps_the_search_ends_with_the_start(recorded, monkeypatch):
    monkeypatch.setattr(Trial, "beats", lambda one, other, errors: False)
    best, trials = recorded(START, 12)
    assert best.config == START
    assert len(trials) == 1 + len(STEPS)
    assert best.config.n_neighbours == 20


def test_trials_have_half_the_neighbours(recorded):
    _, trials = recorded(START, 3)
    assert [each.config.n_neighbours for each in trials] == [10, 10, 10]


@pytest.mark.parametrize(("lead", "chosen"), [(2.9, 20), (3.1, 10)])
def test_half_the_neighbours_are_kept_where_they_are_three_errors_ahead(
    recorded, monkeypatch, lead, chosen
):
    def beats(one, other, errors):
        narrower = one.config.n_neighbours < other.config.n_neighbours
        return narrower and lead > errors

    monkeypatch.setattr(Trial, "beats", beats)
    assert recorded(START, 3)[0].config.n_neighbours == chosen


def test_what_does_better_in_half_the_neighbours_has_to_in_all_of_them(recorded, monkeypatch):
    """The start is replaced only by what beats it at the same width."""
    beats = Trial.beats

    def only_in_half(one, other, errors):
        widths = one.config.n_neighbours, other.config.n_neighbours
        return widths == (10, 10) and beats(one, other, errors)

    monkeypatch.setattr(Trial, "beats", only_in_half)
    bad = replace(START, ridge=0.01, dropout=0.0)
    assert recorded(bad, 9)[0].config == bad


@pytest.mark.parametrize(("lead", "is_kept"), [(2.9, True), (3.1, False)])
def test_the_start_is_kept_unless_it_is_three_errors_behind(recorded, monkeypatch, lead, is_kept):
    def beats(one, other, errors):
        same_width = one.config.n_neighbours == other.config.n_neighbours
        return same_width and lead > errors

    monkeypatch.setattr(Trial, "beats", beats)
    assert (recorded(START, 3)[0].config == START) == is_kept


def test_neighbourhoods_are_found_once_for_all_ridges_and_dropouts(recorded, monkeypatch):
    found = []
    find = Neighbourhoods.of
    monkeypatch.setattr(
        "recsys.tuning.Neighbourhoods.of", lambda *args: found.append(args[1]) or find(*args)
    )
    monkeypatch.setattr(Trial, "beats", lambda one, other, errors: False)
    recorded(START, 9)
    assert [(each.user_exponent, each.n_neighbours) for each in found] == [
        (0.6, 10),
        (0.3, 10),
        (0.9, 10),
        (0.6, 20),
    ]


def test_without_trials_the_start_is_fitted(recorded, split):
    best, trials = recorded(START, 0)
    assert trials == []
    assert best.config == START
    alone = fit_item_item(split.train, START, n_threads=1)
    np.testing.assert_array_equal(best.path.item_item.weights.data, alone.weights.data)


def test_the_same_data_give_the_same_answer(recorded):
    one, other = recorded(START, 5)[0], recorded(START, 5)[0]
    assert one.config == other.config
    np.testing.assert_array_equal(one.by_user, other.by_user)


def test_neighbours_alone_need_no_tau(recorded):
    assert recorded(START, 0)[0].path.tau == 1.0


def test_beside_a_vae_each_trial_has_its_tau(recorded, trained):
    _, trials = recorded(START, 3, trained.score)
    assert all(each.path.tau in TAUS for each in trials)

import numpy as np
import pytest
from dense_interactions import interactions
from folds import PARTS, make_folds, write_fold

from recsys.data.interactions import Events
from recsys.data.split_files import read_split_file

N_FOLDS = 4


@pytest.fixture(scope="module")
def everything():
    dense = np.random.default_rng(3).random((43, 30)) < 0.4
    dense[0] = False
    dense[0, :3] = True  # a user with too few items to hold any out
    return interactions(dense)


@pytest.fixture(scope="module")
def folds(everything):
    return make_folds(everything.matrix, N_FOLDS)


def users_in(everything, parts, *names):
    users = np.repeat(np.arange(everything.n_users), everything.history_lengths())
    return set(users[np.isin(parts, [PARTS.index(name) for name in names])])


def test_every_user_is_a_test_user_once(everything, folds):
    tested = [users_in(everything, each, "test_fold_in", "test_held_out") for each in folds]
    assert sorted(user for fold in tested for user in fold) == list(range(43))


def test_the_groups_of_a_fold_share_no_user(everything, folds):
    for parts in folds:
        train = users_in(everything, parts, "train")
        validation = users_in(everything, parts, "validation_fold_in", "validation_held_out")
        test = users_in(everything, parts, "test_fold_in", "test_held_out")
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert len(validation) == 4


def test_a_fifth_is_held_out_of_users_with_five_items_that_train_knows(everything, folds):
    users = np.repeat(np.arange(43), everything.history_lengths())
    for parts in folds:
        known = set(everything.matrix.indices[parts == 0])
        for user in users_in(everything, parts, "test_fold_in", "test_held_out"):
            mine = (users == user) & (parts >= 0)
            n_known = len(known & set(everything.matrix.indices[users == user]))
            assert mine.sum() == n_known
            held_out = (parts[mine] == PARTS.index("test_held_out")).sum()
            assert held_out == (int(0.2 * n_known) if n_known >= 5 else 0)


def test_the_same_seed_makes_the_same_folds(everything, folds):
    for one, other in zip(folds, make_folds(everything.matrix, N_FOLDS), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(
        (one != other).any()
        for one, other in zip(folds, make_folds(everything.matrix, N_FOLDS, seed=1), strict=True)
    )


def test_training_reads_what_is_written(everything, folds, tmp_path):
    coo = everything.matrix.tocoo()
    events = Events(
        everything.users,
        everything.items,
        coo.row.astype(np.int32),
        coo.col.astype(np.int32),
        coo.data,
        None,
        "none",
    )
    tested = []
    for number, parts in enumerate(folds):
        path = tmp_path / f"fold-{number}.csv"
        write_fold(parts, everything, path)
        split = read_split_file(path, events)
        assert split.train.matrix.nnz == (parts == 0).sum()
        assert split.test.held_out.matrix.nnz == (parts == PARTS.index("test_held_out")).sum()
        tested += list(split.test.held_out.users.ids)
    assert sorted(tested) == sorted(everything.users.ids[1:])

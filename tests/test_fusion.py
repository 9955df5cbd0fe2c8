import json
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from recsys import storage
from recsys.batch import ScoreJob, score_everyone
from recsys.data.splits import Holdout
from recsys.errors import ArtefactError
from recsys.fusion import SparsePath, choose_tau, load_sparse_path
from recsys.index.item_index import ItemIndex
from recsys.indexing import build_index
from recsys.metrics import Metric
from recsys.model_ranker import ModelRanker
from recsys.neighbours.artefact import FILE, save_item_item
from recsys.neighbours.config import NeighboursConfig
from recsys.neighbours.item_item import ItemItem, fit_item_item
from recsys.recommendation import to_frame
from recsys.recommender import Recommender
from recsys.rules import Rules
from recsys.vae.artefact import load_model, open_model, save_model

GOLDEN = Path(__file__).with_name("golden")
TAU = 20.0


@pytest.fixture
def item_item(matrix_of) -> ItemItem:
    return ItemItem(matrix_of([[0, 0.5, -1], [2, 0, 0], [0, 0, 0]]))


def zeros(histories: csr_array) -> np.ndarray:
    return np.zeros(histories.shape, dtype=np.float32)


# --- the sparse path, and its weight


def test_the_fused_score_is_the_dense_one_plus_tau_times_the_sparse(item_item, matrix_of):
    path = SparsePath(item_item, 10.0)
    histories = matrix_of([[1, 1, 0], [0, 0, 1]])

    def dense(histories):
        return np.full(histories.shape, 3, dtype=np.float32)

    assert path.scores(histories).toarray().tolist() == [[20, 5, -10], [0, 0, 0]]
    fused = path.added_to(dense)(histories)
    assert fused.tolist() == [[23, 8, -7], [3, 3, 3]]
    assert fused.dtype == np.float32


def test_scoring_leaves_the_item_item_matrix_alone(item_item, matrix_of):
    before = item_item.weights.toarray()
    SparsePath(item_item, 10.0).scores(matrix_of(np.eye(3)))
    np.testing.assert_array_equal(item_item.weights.toarray(), before)


@pytest.fixture
def one_of_each(interactions_of) -> Holdout:
    """A user who met item 0 and looks for item 1; one who met item 1 and looks for item 2."""
    fold_in = interactions_of([[1, 0, 0], [0, 1, 0]])
    held_out = interactions_of([[0, 1, 0], [0, 0, 1]])
    return Holdout(fold_in, held_out)


def dense_against(histories: csr_array) -> np.ndarray:
    """Logits that S overrules from tau 6 on: it has to lift item 1 above item 2 by 2."""
    return np.tile(np.array([0, 0, 2.5], dtype=np.float32), (histories.shape[0], 1))


def test_the_smallest_of_the_best_taus_is_chosen(matrix_of, one_of_each):
    lifts_item_1 = ItemItem(matrix_of([[0, 0.5, 0], [0, 0, 0], [0, 0, 0]]))
    tuning = choose_tau(dense_against, lifts_item_1, one_of_each, Metric("recall", 1))
    assert tuning.tau == 6.0  # 0.5 tau > 2.5
    assert tuning.by_user.tolist() == [1, 1]


def test_tau_is_weighed_over_all_users(matrix_of, one_of_each):
    """What helps the first user at a high tau takes the second one's item away."""
    item_item = ItemItem(matrix_of([[0, 0.5, 0], [0.5, 0, -0.5], [0, 0, 0]]))
    tuning = choose_tau(dense_against, item_item, one_of_each, Metric("recall", 1), (1.0, 6.0))
    assert (tuning.tau, tuning.by_user.tolist()) == (1.0, [0, 1])


def test_of_equal_taus_the_first_is_chosen(item_item, one_of_each):
    taus = (5.0, 2.0)
    assert choose_tau(zeros, item_item, one_of_each, Metric("recall", 3), taus).tau == 5.0


def test_users_in_blocks_are_weighed_alike(item_item, one_of_each, monkeypatch):
    whole = choose_tau(dense_against, item_item, one_of_each)
    monkeypatch.setattr("recsys.fusion.USERS_AT_ONCE", 1)
    blocks = choose_tau(dense_against, item_item, one_of_each)
    assert (blocks.tau, blocks.by_user.tolist()) == (whole.tau, whole.by_user.tolist())


# --- a fused model, from the artefact to the lists


@pytest.fixture(scope="module")
def fused_workspace(workspace, split, trained, tmp_path_factory) -> Path:
    """The tiny workspace with an item-item path beside the VAE; do not change it."""
    root = tmp_path_factory.mktemp("fused")
    (root / "interactions").symlink_to(workspace / "interactions")
    config = NeighboursConfig(5, 20.0)  # few neighbours: some supports are narrow
    item_item = fit_item_item(split.train, config, n_threads=1)
    save_model(
        trained,
        split,
        root / "model",
        training={"tau": TAU, "neighbours": asdict(config)},
        metrics={},
        fingerprints={},
        also=partial(save_item_item, item_item),
    )
    model = open_model(root / "model")
    store = Recommender.load(workspace).store
    build_index(load_model(model), store, model, root / "index")
    return root


@pytest.fixture(scope="module")
def fused(fused_workspace) -> Recommender:
    return Recommender.load(fused_workspace)


def by_hand(recommender: Recommender, user: str) -> np.ndarray:
    """The seam: logits plus tau times the sum of the history's rows of S; seen items -inf."""
    row = recommender.histories(recommender.users.positions([user]))
    rows_of_history = recommender.sparse.item_item.weights.toarray()[row.indices]
    scores = recommender.vae.score(row)[0].astype(float) + TAU * rows_of_history.sum(axis=0)
    scores[row.indices] = -np.inf
    return scores


def assert_is_the_best_of(scores: np.ndarray, one_list, recommender) -> None:
    """The same items in the same order, except among scores within 1e-4 of each other."""
    positions = recommender.items.positions([each.item for each in one_list.items])
    expected = np.argsort(-scores, kind="stable")[: len(positions)]
    assert len(set(positions)) == len(positions)
    np.testing.assert_allclose(scores[positions], scores[expected], atol=1e-4)
    np.testing.assert_allclose([e.score for e in one_list.items], scores[positions], atol=1e-4)


def test_every_users_list_is_the_best_of_the_fused_scores(fused):
    users = list(fused.users.ids)
    together = fused.recommend(users, k=25)
    for user, one_list in zip(users, together, strict=True):
        assert len(one_list.items) == 25
        assert_is_the_best_of(by_hand(fused, user), one_list, fused)


def test_one_user_alone_gets_the_best_of_the_fused_scores(fused):
    for user in fused.users.ids:
        (one_list,) = fused.recommend([user], k=25)
        assert_is_the_best_of(by_hand(fused, user), one_list, fused)


def test_narrow_and_wide_supports_are_ranked_alike(fused):
    everybody = fused.sparse.scores(fused.histories(np.arange(len(fused.users))))
    assert max(everybody[user : user + 1].nnz for user in range(len(fused.users))) > 24  # wide
    weights = fused.sparse.item_item.weights.toarray()
    for position in range(0, 240, 10):
        one = csr_array(([1.0], ([0], [position])), shape=(1, 240), dtype=np.float32)
        assert fused.sparse.scores(one).nnz <= 24  # a tenth of 240: narrow
        scores = fused.vae.score(one)[0] + TAU * weights[position]
        scores[position] = -np.inf
        (one_list,) = fused.recommend(items=[fused.items.ids[position]], k=25)
        assert_is_the_best_of(scores, one_list, fused)


def test_the_sparse_path_changes_the_lists(fused, recommender):
    users = list(fused.users.ids[:50])
    pairs = zip(fused.recommend(users, k=10), recommender.recommend(users, k=10), strict=True)
    differing = [
        [e.item for e in one.items] != [e.item for e in other.items] for one, other in pairs
    ]
    assert np.mean(differing) > 0.5


def assert_alike(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found["user"]) == list(expected["user"])
    np.testing.assert_allclose(found["score"], expected["score"], atol=2e-5)
    same = found["item"].to_numpy() == expected["item"].to_numpy()
    for place in np.flatnonzero(~same):
        row, item = expected.iloc[place], found["item"].iloc[place]
        twin = expected[(expected["user"] == row["user"]) & (expected["item"] == item)]
        assert twin["score"].item() == pytest.approx(row["score"], abs=2e-5)


def test_score_gives_the_fused_lists_that_recommend_gives(fused, tmp_path):
    score_everyone(fused, tmp_path, ScoreJob(k=10, block_size=250))
    files = [pd.read_parquet(each) for each in sorted(tmp_path.glob("part-*.parquet"))]
    found = pd.concat(files, ignore_index=True).astype({"user": object, "item": object})
    one_by_one = [fused.recommend([user], k=10)[0] for user in fused.users.ids]
    assert_alike(found, to_frame(one_by_one))


def test_evaluate_ranks_as_recommend_does(fused, split):
    ranker = ModelRanker(fused.vae, ItemIndex.of(fused.vae.item_vectors()), fused.sparse)
    fold_in = split.test.fold_in
    ranking = ranker(fold_in.matrix, 10)
    lists = fused.recommend(histories=fold_in, k=10)
    users = np.repeat(fold_in.users.ids, 10)
    found = {"user": users, "item": fused.items.ids[ranking.positions.ravel()]}
    assert_alike(pd.DataFrame(found | {"score": ranking.scores.ravel()}), to_frame(lists))


def test_rules_and_seen_items_hold_for_fused_lists(fused):
    rules = Rules(allow=list(fused.items.ids[::3]), deny=list(fused.items.ids[::6]))
    for user in fused.users.ids[:20]:
        (one_list,) = fused.recommend([user], k=1000, rules=rules)
        seen = fused.items.ids[fused.histories(fused.users.positions([user])).indices]
        expected = set(fused.items.ids[::3]) - set(fused.items.ids[::6]) - set(seen)
        assert {each.item for each in one_list.items} == expected
        assert len(one_list.items) == len(expected)
        positions = fused.items.positions([each.item for each in one_list.items])
        scores = by_hand(fused, user)[positions]
        assert (np.diff(scores) < 1e-4).all()


def test_an_empty_history_is_ranked_by_popularity_in_a_fused_model_too(fused, recommender):
    assert fused.recommend(items=[], k=7) == recommender.recommend(items=[], k=7)


# --- artefacts


def test_the_sparse_path_is_loaded_as_it_was_saved(fused, split):
    assert fused.sparse.tau == TAU
    expected = fit_item_item(split.train, NeighboursConfig(5, 20.0), n_threads=1).weights
    np.testing.assert_array_equal(fused.sparse.item_item.weights.toarray(), expected.toarray())


def test_a_model_without_item_item_is_a_vae_alone(recommender, workspace):
    assert recommender.sparse is None
    assert load_sparse_path(open_model(workspace / "model"), len(recommender.items)) is None


def test_a_model_of_the_first_format_is_a_vae_alone():
    assert Recommender.load(GOLDEN / "v1").sparse is None


@pytest.mark.parametrize("tau", [None, "much", [1]])
def test_an_item_item_matrix_without_its_tau_is_refused(fused_workspace, tmp_path, tau):
    folder = Path(shutil.copytree(fused_workspace / "model", tmp_path / "model"))
    manifest = storage.read_manifest(folder)
    config = {key: value for key, value in manifest.config.items() if key != "tau"}
    if tau is not None:
        config["tau"] = tau
    changed = storage.Manifest(**{**vars(manifest), "config": config})
    text = json.dumps(asdict(changed) | {"checksum": changed.fingerprint})
    (folder / storage.MANIFEST).write_text(text)
    with pytest.raises(ArtefactError) as caught:
        load_sparse_path(open_model(folder), 240)
    message = str(caught.value)
    assert message.startswith(f"{folder} is not whole (")
    assert message.endswith("; run `recsys train`")
    assert "\n" not in message


def test_a_forged_item_item_matrix_is_refused_and_nothing_runs(
    fused_workspace, tmp_path, forge, bomb
):
    folder = Path(shutil.copytree(fused_workspace / "model", tmp_path / "model"))
    forge(folder, FILE, bomb.content)
    with pytest.raises(ArtefactError) as caught:
        load_sparse_path(open_model(folder), 240)
    expected = f"{folder / FILE} is not an item-item matrix; run `recsys train`"
    assert str(caught.value) == expected
    assert not bomb.has_run()

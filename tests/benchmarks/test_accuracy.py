import pytest
from accuracy import parse
from data_sets import DATA_SETS


@pytest.fixture
def words(tmp_path):
    for name in DATA_SETS:
        (tmp_path / "data" / name).mkdir(parents=True)
    return ["--datasets", str(tmp_path / "data")]


def test_peers_seeds_and_folds_are_read(words):
    options = parse(["ml-100k", *words, "--peers", "ease,als", "--seeds", "1,2", "--folds", "5"])
    assert (options.peers, options.seeds, options.folds) == (["ease", "als"], [1, 2], 5)


def test_all_peers_are_those_that_the_data_set_allows(words):
    assert parse(["gowalla", *words, "--peers", "all"]).peers == ["popularity", "als", "recvae"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gowalla", "--peers", "als,edlae"], "--peers edlae: on gowalla expected some of pop"),
        (["ml-1m", "--folds", "1"], "--folds 1: expected at least 2"),
        (["ml-1m", "--reuse"], "--reuse: name the folder that holds what was trained"),
        (["ml-1m", "--workspace", "."], "exists; name a new folder with --workspace DIR"),
        (["ml-1m", "--datasets", "nowhere"], "no folder ml-1m in nowhere"),
    ],
)
def test_what_would_fail_after_hours_is_refused_at_once(words, arguments, message):
    name, *rest = arguments
    with pytest.raises(SystemExit, match=message):
        parse([name, *words, *rest])

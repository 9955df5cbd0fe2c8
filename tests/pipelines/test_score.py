"""recsys score: everybody's top k in files, the same lists that recommend gives."""

import json

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def score(cli, made, tmp_path):
    """Give a function that scores the sample's users into one folder."""

    def call(*words):
        return cli("score", "--output", tmp_path / "scores", *words, workspace=made)

    return call


def rows_of(folder):
    """Every row in the order of the files that the manifest lists."""
    manifest = json.loads((folder / "_manifest.json").read_text())
    return [row for name in manifest["files"] for row in pq.read_table(folder / name).to_pylist()]


def test_everybody_gets_what_recommend_gives(cli, made, score, tmp_path):
    assert score("-k", "7", "--block-size", "250").code == 0
    rows = rows_of(tmp_path / "scores")
    users = list(dict.fromkeys(row["user"] for row in rows))
    assert len(users) == 600
    assert len(rows) == 600 * 7
    assert list(rows[0]) == ["user", "item", "rank", "score"]
    (tmp_path / "users.txt").write_text("\n".join(users))
    words = ("recommend", "--users-from", tmp_path / "users.txt", "-k", "7")
    expected = [
        (each["user"], one["item"], one["rank"], one["score"])
        for each in cli(*words, workspace=made).records
        for one in each["items"]
    ]
    for row, (user, item, rank, value) in zip(rows, expected, strict=True):
        assert (row["user"], row["rank"]) == (user, rank)
        assert row["score"] == pytest.approx(value, abs=1e-5)
        assert row["item"] == item or abs(row["score"] - value) < 1e-5


def test_finished_blocks_are_kept_and_missing_ones_made(score, tmp_path):
    assert score("-k", "5", "--block-size", "100").code == 0
    folder = tmp_path / "scores"
    before = rows_of(folder)
    (folder / "part-00003.parquet").unlink()
    (folder / "_manifest.json").unlink()
    kept = (folder / "part-00002.parquet").stat().st_mtime_ns
    again = score("-k", "5", "--block-size", "100")
    assert again.code == 0
    assert "5 files were there already" in again.err
    assert rows_of(folder) == before
    assert (folder / "part-00002.parquet").stat().st_mtime_ns == kept


def test_allow_and_deny_leave_as_many_as_were_asked_for(score, tmp_path):
    (tmp_path / "deny.txt").write_text("".join(f"{n:03}\n" for n in range(1, 100)))
    assert score("-k", "10", "--deny", tmp_path / "deny.txt").code == 0
    rows = rows_of(tmp_path / "scores")
    assert len(rows) == 6000
    assert not {row["item"] for row in rows} & {f"{n:03}" for n in range(1, 100)}


def test_users_who_got_fewer_are_counted(score):
    result = score("-k", "240")
    assert result.code == 0
    assert "600 users got fewer than 240: no more exist under these rules" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-k", "0"), "k is 0, expected at least 1"),
        (("-k", "5", "--block-size", "0"), "score.block_size is 0, expected at least 1"),
        (("-k", "6"), "holds the blocks of another job (different k)"),
        (("-k", "5", "--include-seen"), "(different exclude_seen)"),
    ],
)
def test_another_job_is_refused(score, words, message):
    assert score("-k", "5").code == 0
    result = score(*words)
    assert result.code == 2
    assert message in result.complaint


def test_a_folder_with_something_else_is_refused(score, tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "thesis.tex").write_text("")
    result = score()
    assert result.code == 2
    assert "is not empty and not a score job's; give a new --output" in result.complaint


def test_a_block_that_is_no_parquet_is_refused(score, tmp_path):
    assert score("-k", "5").code == 0
    (tmp_path / "scores" / "part-00000.parquet").write_bytes(b"nonsense")
    result = score("-k", "5")
    assert result.code == 1
    assert "part-00000.parquet is not a finished block; delete it" in result.complaint


def test_files_of_a_repeated_allow_add_up(score, tmp_path):
    for name, ids in (("a", ("001", "002")), ("b", ("003", "no such item"))):
        (tmp_path / name).write_text("\n".join(ids))
    words = ("--allow", tmp_path / "a", "--allow", tmp_path / "b", "--include-seen")
    result = score("-k", "3", *words)
    assert result.code == 0, result.err
    assert {row["item"] for row in rows_of(tmp_path / "scores")} == {"001", "002", "003"}
    assert "--allow" in result.err
    assert "not in the model: 1 of 2 ids ('no such item')" in result.err
    assert "1,800 rows for 600 users in 1 file, " in result.err

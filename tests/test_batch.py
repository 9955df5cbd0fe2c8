import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from recsys.batch import LOCK, ScoreJob, score_everyone
from recsys.data.artefact import save_interactions
from recsys.errors import ArtefactError, ConfigError
from recsys.model_ranker import ModelRanker
from recsys.recommendation import to_frame
from recsys.recommender import Recommender
from recsys.rules import Rules

ROOT = Path(__file__).parents[1]
JOB = ScoreJob(k=10, block_size=128)  # 600 users: five blocks


def parts(output: Path) -> list[Path]:
    return sorted(output.glob("part-*.parquet"))


def table(output: Path) -> pd.DataFrame:
    frame = pd.concat([pd.read_parquet(each) for each in parts(output)], ignore_index=True)
    return frame.astype({"user": object, "item": object})


def assert_same_lists(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same items in the same order, except among scores within 1e-5 of each other."""
    assert list(found["user"]) == list(expected["user"])
    assert list(found["rank"]) == list(expected["rank"])
    np.testing.assert_allclose(found["score"], expected["score"], atol=1e-5)
    for place in np.flatnonzero(found["item"].to_numpy() != expected["item"].to_numpy()):
        row, item = expected.iloc[place], found["item"].iloc[place]
        same = expected[(expected["user"] == row["user"]) & (expected["item"] == item)]
        assert same["score"].item() == pytest.approx(row["score"], abs=1e-5)


@pytest.fixture
def scored(recommender, tmp_path) -> Path:
    score_everyone(recommender, tmp_path / "scores", JOB)
    return tmp_path / "scores"


def test_everybody_gets_what_recommend_gives(recommender, scored):
    one_by_one = [recommender.recommend([user], k=10)[0] for user in recommender.users.ids]
    assert_same_lists(table(scored), to_frame(one_by_one))


def test_seen_items_and_rules_are_as_recommend_has_them(recommender, tmp_path):
    rules = Rules(deny=list(recommender.items.ids[:100]))
    job = ScoreJob(k=20, exclude_seen=False, rules=rules, block_size=250)
    score_everyone(recommender, tmp_path / "scores", job)
    users = list(recommender.users.ids)
    lists = recommender.recommend(users, k=20, exclude_seen=False, rules=rules)
    assert_same_lists(table(tmp_path / "scores"), to_frame(lists))


def test_the_manifest_holds_the_totals(recommender, scored):
    manifest = json.loads((scored / "_manifest.json").read_text())
    assert manifest["n_users"] == 600
    assert manifest["n_rows"] == len(table(scored)) == 6000
    assert (manifest["n_blocks"], manifest["n_blocks_reused"]) == (5, 0)
    assert (manifest["n_short"], manifest["n_popular"]) == (0, 0)
    assert manifest["files"] == [each.name for each in parts(scored)]
    assert manifest["job"]["k"] == 10
    assert manifest["job"]["model"] == recommender.index.model_fingerprint


def test_progress_is_told_after_every_block(recommender, tmp_path):
    told = []
    score_everyone(recommender, tmp_path, JOB, lambda done, total: told.append((done, total)))
    assert told == [(128, 600), (256, 600), (384, 600), (512, 600), (600, 600)]


def test_only_the_blocks_that_are_missing_are_computed_again(recommender, scored, monkeypatch):
    before = {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in parts(scored)}
    (scored / "part-00002.parquet").unlink()
    (scored / "_manifest.json").unlink()
    ranked = []
    rank = ModelRanker.__call__

    def watched(self, histories, *arguments, **options):
        ranked.append(histories.shape[0])
        return rank(self, histories, *arguments, **options)

    monkeypatch.setattr(ModelRanker, "__call__", watched)
    report = score_everyone(recommender, scored, JOB)
    assert ranked == [128]
    assert (report.n_blocks, report.n_blocks_reused) == (5, 4)
    assert (report.n_users, report.n_rows) == (600, 6000)
    after = {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in parts(scored)}
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    del before["part-00002.parquet"], after["part-00002.parquet"]
    assert after == before  # not even touched


def test_a_second_run_computes_nothing(recommender, scored, monkeypatch):
    monkeypatch.delattr(ModelRanker, "__call__")
    report = score_everyone(recommender, scored, JOB)
    assert report.n_blocks_reused == 5
    assert report.n_rows == 6000


def test_an_unfinished_block_is_ignored_and_overwritten(recommender, scored):
    expected = table(scored)
    (scored / "part-00001.parquet").unlink()
    (scored / ".part-00001.parquet.partial").write_bytes(b"half a file")
    assert score_everyone(recommender, scored, JOB).n_blocks_reused == 4
    pd.testing.assert_frame_equal(table(scored), expected)
    assert not (scored / ".part-00001.parquet.partial").exists()


def test_a_run_that_stopped_goes_on(recommender, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done >= 256:
            raise StoppedError

    with pytest.raises(StoppedError):
        score_everyone(recommender, tmp_path / "scores", JOB, stop)
    assert not (tmp_path / "scores" / "_manifest.json").exists()
    assert len(parts(tmp_path / "scores")) == 2
    assert score_everyone(recommender, tmp_path / "scores", JOB).n_blocks_reused == 2
    assert len(table(tmp_path / "scores")) == 6000


@pytest.mark.parametrize(
    ("job", "different"),
    [
        (ScoreJob(k=9, block_size=128), "k"),
        (ScoreJob(k=10, block_size=100), "block_size"),
        (ScoreJob(k=10, block_size=128, exclude_seen=False), "exclude_seen"),
        (ScoreJob(k=10, block_size=128, rules=Rules(deny=["001"])), "rules"),
        (ScoreJob(k=9, block_size=1), "block_size, k"),
    ],
)
def test_another_jobs_folder_is_refused_naming_the_difference(recommender, scored, job, different):
    with pytest.raises(ConfigError) as caught:
        score_everyone(recommender, scored, job)
    assert str(caught.value) == (
        f"{scored} holds the blocks of another job (different {different}); give a new --output "
        "folder, or delete that one"
    )


def test_blocks_of_older_data_are_refused(copy_of_workspace, events, scored):
    root = copy_of_workspace()
    fewer = events.select(np.arange(len(events)) > 0)
    save_interactions(fewer, None, root / "interactions", config={}, metrics={})
    with pytest.raises(ConfigError, match=r"of another job \(different events\)"):
        score_everyone(Recommender.load(root), scored, JOB)


def test_a_folder_with_something_else_in_it_is_refused(recommender, tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(ConfigError) as caught:
        score_everyone(recommender, tmp_path, JOB)
    assert (
        str(caught.value) == f"{tmp_path} is not empty and not a score job's; give a new --output"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", "null"])
def test_a_job_file_that_is_not_ours_is_refused(recommender, tmp_path, content):
    (tmp_path / "_job.json").write_text(content)
    with pytest.raises(ConfigError, match=r"job\.json is not a score job's; give a new --output f"):
        score_everyone(recommender, tmp_path, JOB)


def test_a_file_in_the_place_of_the_folder_is_refused(recommender, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match=r"could not write to .*file: File exists"):
        score_everyone(recommender, tmp_path / "file", JOB)


def test_a_block_that_is_not_finished_under_its_own_name_is_refused(recommender, scored):
    (scored / "part-00003.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(ArtefactError) as caught:
        score_everyone(recommender, scored, JOB)
    assert str(caught.value) == (
        f"{scored / 'part-00003.parquet'} is not a finished block; delete it and run again"
    )
    pd.DataFrame({"user": ["x"]}).to_parquet(scored / "part-00003.parquet")
    with pytest.raises(ArtefactError, match="is not a finished block"):
        score_everyone(recommender, scored, JOB)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k is 0, expected at least 1"),
        ({"block_size": 0}, "the block size is 0, expected at least 1"),
    ],
)
def test_a_job_out_of_range_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ScoreJob(**settings)


def test_short_lists_and_users_without_history_are_counted(copy_of_workspace, events):
    root = copy_of_workspace()
    # One user is left, and with items that the model has not met.
    lonely = events.select(events.user_positions == 0)
    unheard = type(lonely.items).in_order([f"new {i}" for i in lonely.items.ids], "item")
    events = type(lonely)(**{**vars(lonely), "items": unheard})
    save_interactions(events, None, root / "interactions", config={}, metrics={})
    loaded = Recommender.load(root)
    report = score_everyone(loaded, root / "scores", ScoreJob(k=300))
    assert (report.n_users, report.n_popular, report.n_short) == (1, 1, 1)
    assert report.n_rows == len(loaded.items)


FILLER = """
import resource, sys
from pathlib import Path
from recsys.batch import ScoreJob, score_everyone
from recsys.errors import ArtefactError
from recsys.recommender import Recommender
from recsys.rules import Rules

recommender = Recommender.load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
try:
    score_everyone(recommender, Path(sys.argv[2]), ScoreJob(k=10, block_size=128))
except ArtefactError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_is_one_line_and_the_finished_blocks_stay(recommender, workspace, scored):
    (scored / "part-00004.parquet").unlink()
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", FILLER, workspace, scored],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 1
    assert child.stderr.startswith(f"could not write to {scored}: ")
    assert child.stderr.endswith(
        "; the finished blocks are whole: run the same command again to go on\n"
    )
    assert len(child.stderr.splitlines()) == 1
    assert score_everyone(recommender, scored, JOB).n_blocks_reused == 4


def test_a_folder_that_another_process_writes_to_is_refused(recommender, tmp_path):
    output = tmp_path / "scores"
    output.mkdir()
    with (
        FileLock(output / LOCK),
        pytest.raises(ConfigError, match="is being written to by another process"),
    ):
        score_everyone(recommender, output, JOB)
    assert list(output.iterdir()) == [output / LOCK]
    score_everyone(recommender, output, JOB)


def test_a_mistyped_column_claims_no_folder(recommender, tmp_path):
    job = ScoreJob(k=10, block_size=128, rules=Rules(at_most=("gnre", 1)))
    with pytest.raises(ConfigError, match="gnre"):
        score_everyone(recommender, tmp_path / "scores", job)
    assert not (tmp_path / "scores").exists()

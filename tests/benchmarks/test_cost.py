import pytest
from cost import run_measured, run_stage


def test_a_stage_is_the_command_in_a_process_of_its_own(tmp_path):
    cost = run_stage("ingest", ["--help"], tmp_path)
    assert cost.name == "ingest"
    assert cost.wall > 0
    assert cost.cpu > 0
    assert cost.peak_rss > 10 * 2**20


def test_a_stage_that_fails_ends_the_benchmark(tmp_path):
    with pytest.raises(SystemExit, match="ingest failed with exit code 2"):
        run_stage("ingest", ["--no-such-option"], tmp_path)


def test_any_command_is_measured():
    assert run_measured("nothing", ["true"]).name == "nothing"

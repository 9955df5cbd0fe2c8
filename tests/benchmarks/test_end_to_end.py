import sys

import pytest
from cost import Cost, run_measured, together
from end_to_end import Run, to_markdown, verdicts


def run(value, wall):
    return Run(Cost("any", wall, 2 * wall, 10**8), value, "one fit")


RUNS = {"recsys": run(0.43, 40.0), "ease": run(0.41, 5.0), "recvae": run(0.40, 100.0)}


def test_ours_is_held_against_the_best_peer_and_the_time_of_recvae():
    accuracy, speed = verdicts(RUNS)
    assert accuracy.endswith("0.4300 against 0.4100 of ease: reached")
    assert speed.endswith("0.40: reached")
    accuracy, speed = verdicts(RUNS | {"recsys": run(0.41, 51.0)})
    assert accuracy.endswith(": MISSED")  # level is not ahead
    assert speed.endswith("0.51: MISSED")


def test_a_shortened_schedule_gives_no_verdict_on_time():
    assert len(verdicts(RUNS, recvae_epochs=1)) == 1


def test_the_table_has_a_row_a_model():
    lines = to_markdown(RUNS).splitlines()
    assert len(lines) == 2 + len(RUNS)
    assert lines[2] == "| recsys | 0.4300 | 40.0 | 80.0 | 100 MB | one fit |"


def test_a_child_is_charged_for_its_time_and_its_memory():
    work = "import time; held = bytes(200 * 2**20); time.sleep(0.2)"
    cost = run_measured("sleeper", [sys.executable, "-c", work])
    assert cost.wall >= 0.2
    assert cost.cpu < cost.wall
    assert cost.peak_rss > 200 * 2**20


def test_a_failed_child_ends_the_benchmark():
    with pytest.raises(SystemExit, match="train failed with exit code 3"):
        run_measured("train", [sys.executable, "-c", "raise SystemExit(3)"])


def test_costs_add_up_and_the_highest_peak_counts():
    parts = [Cost("a", 1.0, 2.0, 30), Cost("b", 4.0, 8.0, 20)]
    assert together("all", parts) == Cost("all", 5.0, 10.0, 30)

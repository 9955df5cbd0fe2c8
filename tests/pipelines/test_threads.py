"""The environment that OpenMP and OpenBLAS read when torch and numpy are loaded."""

import json
import os
import subprocess
import sys

import pytest

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT")

PROGRAM = f"""
import json, os, sys
from recsys.pipelines import __main__ as start
loaded = {{"torch", "numpy"}} & sys.modules.keys()
sys.argv[1:] = ["--version"]
os._exit = lambda _: print(json.dumps([*loaded, *map(os.environ.get, {VARIABLES})]))
start.main()
"""


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ["PASSIVE", "1000", "16"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None, "16"]),
        ({"GOMP_SPINCOUNT": "0"}, [None, "0", "16"]),
        ({"OPENBLAS_THREAD_TIMEOUT": "20"}, ["PASSIVE", "1000", "20"]),
    ],
)
def test_the_command_says_how_threads_wait_before_any_is_loaded(own, expected):
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES} | own
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == expected

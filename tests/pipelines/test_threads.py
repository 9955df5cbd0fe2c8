"""The environment that OpenMP reads when torch is loaded."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, os, sys
from recsys.pipelines import cli
cli.run = lambda *_, **__: print(json.dumps([
    "torch" in sys.modules, os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT")
])) or 0
cli.main(["--version"])
"""


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, ["PASSIVE", "1000"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", None]),
        ({"GOMP_SPINCOUNT": "0"}, [None, "0"]),
    ],
)
def test_the_command_says_how_threads_wait_before_torch_is_loaded(own, expected):
    unset = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    environment = {key: value for key, value in os.environ.items() if key not in unset} | own
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [False, *expected]

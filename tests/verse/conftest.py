"""The rhyme tables, read once a run."""

import pytest

from recsys.verse.tones import ToneTable


@pytest.fixture(scope="session")
def table() -> ToneTable:
    return ToneTable.load()

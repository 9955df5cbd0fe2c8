"""The sample's workspace behind the service, in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient


@pytest.fixture
def served_workspace(copy_of_workspace) -> Path:
    """A workspace of its own for each test: events are written beside it."""
    return copy_of_workspace()


@pytest.fixture
def serve(served_workspace) -> Iterator[Callable[..., TestClient]]:
    """Give a function that serves the workspace; what it made is closed at the end."""
    from recsys.serving.api import make_app
    from recsys.serving.door import Door, DoorConfig
    from recsys.serving.served import Served
    from recsys.serving.watching import Watching

    made = []

    def call(door: DoorConfig | None = None, **options) -> TestClient:
        served = Served(served_workspace)
        app = Watching(Door(make_app(served), door or DoorConfig()))
        client = TestClient(app, raise_server_exceptions=False, **options)
        client.served = served
        client.__enter__()  # one event loop for all of a test's requests
        made.append((client, served))
        return client

    yield call
    for client, served in made:
        client.__exit__(None, None, None)
        served.close()


@pytest.fixture
def client(serve) -> TestClient:
    """The workspace, served without token."""
    return serve()

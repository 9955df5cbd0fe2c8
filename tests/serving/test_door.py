"""The door: who is let in, under which name, and with how much."""

import pytest

from recsys.serving.door import DoorConfig

TOKEN = "a-token-of-sufficient-length"


@pytest.fixture
def guarded(serve):
    return serve(DoorConfig(token=TOKEN))


@pytest.mark.parametrize(
    "said", [None, "Bearer wrong", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN} ", "Bearer "]
)
def test_without_the_token_nothing_is_told(guarded, said):
    headers = {} if said is None else {"Authorization": said}
    for path in ("/items", "/metrics", "/openapi.json", "/map", "/no-such-path"):
        found = guarded.get(path, headers=headers)
        assert found.status_code == 401, path
        assert found.headers["www-authenticate"] == "Bearer"
    assert guarded.post("/recommend", json={"items": []}, headers=headers).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_everything_is(guarded, scheme):
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    assert guarded.get("/items", headers=headers).status_code == 200
    assert guarded.post("/recommend", json={"items": []}, headers=headers).status_code == 200


def test_the_page_and_the_state_need_none(guarded):
    for path in ("/", "/page.js", "/page.css", "/healthz", "/readyz"):
        assert guarded.get(path).status_code == 200, path


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_another_name_of_this_machine_is_not_answered_for(serve, host):
    client = serve(DoorConfig(hosts=("localhost", "127.0.0.1", "::1")))
    assert client.get("/healthz", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "LocalHost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_its_own_names_are(serve, host):
    client = serve(DoorConfig(hosts=("localhost", "127.0.0.1", "::1")))
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not(serve):
    client = serve(DoorConfig(most_bytes=2000))
    body = b'{"items": [], "k": 3}'
    padded = body + b" " * (2000 - len(body))
    headers = {"Content-Type": "application/json"}
    assert client.post("/recommend", content=padded, headers=headers).status_code == 200
    refused = client.post("/recommend", content=padded + b" ", headers=headers)
    assert (refused.status_code, refused.json()["detail"]) == (
        413,
        "the body has more than 2,000 bytes",
    )


def test_a_body_that_does_not_say_its_size_is_counted(serve):
    client = serve(DoorConfig(most_bytes=2000))
    sent = []

    def parts():
        for _ in range(100):
            sent.append(1)
            yield b" " * 100

    found = client.post("/recommend", content=parts())
    assert found.status_code == 413


def test_a_lie_about_the_size_is_refused(serve):
    client = serve(DoorConfig(most_bytes=2000))
    for length in ("2001", "9" * 5000):
        found = client.post("/recommend", content=b"{}", headers={"Content-Length": length})
        assert found.status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_must_say_that_it_is_json(client, kind):
    """No form of another site can, and whoever forgot it is told which header is missing."""
    body = b'{"events": [{"user": "a", "item": "b"}]}'
    found = client.post("/events", content=body, headers={"Content-Type": kind})
    assert found.status_code == 415
    assert "expected the header Content-Type: application/json, found" in found.json()["detail"]
    assert client.served.events.last_position == 0


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/LD+JSON"])
def test_json_of_every_kind_is_read(client, kind):
    found = client.post("/recommend", content=b'{"items": []}', headers={"Content-Type": kind})
    assert found.status_code == 200


def test_a_body_that_is_packed_is_refused_by_name(client):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    found = client.post("/recommend", content=b"\x1f\x8b", headers=headers)
    assert (found.status_code, "Content-Encoding: gzip" in found.text) == (415, True)


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/items"])
def test_whoever_asks_for_the_head_alone_is_answered(client, path):
    assert client.head(path).status_code == 200
    assert f'method="HEAD",path="{path}",status="200"' in client.get("/metrics").text

"""The HTTP API: the same answers as the library's, and one line for every mistake."""

import json
import shutil

import pytest

from recsys.data.event_store import Event, EventStore
from recsys.errors import ArtefactError, UnknownIdError
from recsys.recommendation import record_of
from recsys.rules import Manner, Rules
from recsys.serving.api import AT_ONCE
from recsys.serving.generation import Asked, Generation
from recsys.serving.served import _ranked


def items_of(response):
    assert response.status_code == 200, response.text
    return [each["item"] for each in response.json()["items"]]


@pytest.mark.parametrize(
    ("asked", "arguments"),
    [
        ({"k": 7}, {"k": 7}),
        ({"exclude_seen": False}, {"exclude_seen": False}),
        ({"why": True}, {"n_reasons": 3}),
        ({"explore": 5}, {"explore": 5}),
        ({"rules": {"diversity": 0.4}}, {"rules": Rules(diversity=0.4)}),
        ({"rules": {"popularity": -0.5}}, {"rules": Rules(popularity=-0.5)}),
        (
            {"rules": {"where": "genre = 'Detective'"}},
            {"rules": Rules(where="genre = 'Detective'")},
        ),
        (
            {"rules": {"at_most": {"column": "genre", "n": 1}}},
            {"rules": Rules(at_most=("genre", 1))},
        ),
    ],
)
def test_a_user_gets_what_the_library_gives(client, recommender, asked, arguments):
    user = str(recommender.users.ids[3])
    found = client.post("/recommend", json={"user": user, **asked})
    assert found.status_code == 200, found.text
    (expected,) = recommender.recommend([user], **arguments)
    assert found.json() == json.loads(json.dumps(record_of(expected)))


def test_a_list_of_items_is_as_good_as_a_user(client, recommender):
    liked = [str(each) for each in recommender.items.ids[:3]]
    found = items_of(client.post("/recommend", json={"items": liked, "k": 5}))
    (expected,) = recommender.recommend(items=liked, k=5)
    assert found == [each.item for each in expected.items]
    assert not set(found) & set(liked)


def test_nobody_gets_what_is_popular(client, recommender):
    found = client.post("/recommend", json={"k": 3}).json()
    assert found["reason"] == "popularity"
    assert found["items"][0]["item"] == recommender.items.ids[recommender.vae.popularity.argmax()]


def test_a_user_had_it_liked_an_item_too(client, recommender):
    user = str(recommender.users.ids[3])
    plain = items_of(client.post("/recommend", json={"user": user, "k": 5}))
    found = items_of(client.post("/recommend", json={"user": user, "items": plain[:1], "k": 5}))
    assert plain[0] not in found


def test_fewer_than_asked_for_are_said_to_be_fewer(client, recommender):
    allowed = [str(each) for each in recommender.items.ids[:2]]
    found = client.post("/recommend", json={"items": [], "k": 5, "rules": {"allow": allowed}})
    assert found.json()["requested"] == 5
    assert set(items_of(found)) == set(allowed)


def test_where_every_item_is_known_no_place_is_left_empty_for_new_ones(client):
    asked = {"items": ["001"], "k": 4, "new": 2}
    found = client.post("/recommend", json=asked).json()
    assert len(found["items"]) == 4
    rule = {"rules": {"where": "genre != 'Detective'"}}
    assert len(client.post("/recommend", json=asked | rule).json()["items"]) == 4
    assert not any("cold" in each for each in found["items"])


def test_who_is_unknown_does_not_spoil_the_block(served_workspace, recommender):
    events = EventStore(served_workspace / "events.sqlite")
    generation = Generation.load(served_workspace, events)
    known, manner = str(recommender.users.ids[3]), Manner(k=3)
    one, unknown, other = generation.answers(
        [Asked(manner, known), Asked(manner, "nobody"), Asked(manner, items=["001"])]
    )
    assert isinstance(unknown, UnknownIdError)
    assert generation.history(known).row == 3
    assert generation.history(known, ["001"]).row == -1
    events.append([Event(known, "001", 5.0, 0.0)])
    assert generation.history(known).row == -1  # the code that the index holds is not hers now
    (expected,) = recommender.recommend([known], k=3)
    assert [each["item"] for each in one["items"]] == [each.item for each in expected.items]
    assert len(other["items"]) == 3
    events.close()


def test_each_list_is_of_the_generation_that_it_was_asked_of():
    class Named:
        def __init__(self, name):
            self.name = name

        def answers(self, block):
            return [(self.name, each) for each in block]

    old, new = Named("old"), Named("new")
    assert _ranked([(old, 1), (new, 2), (old, 3)]) == [("old", 1), ("new", 2), ("old", 3)]


def test_events_that_cannot_be_read_are_told_to_users_alone(served_workspace, recommender):
    events = EventStore(served_workspace / "events.sqlite")
    generation = Generation.load(served_workspace, events)
    events.path.write_bytes(b"no database at all, but long enough to look like one" * 99)
    known = str(recommender.users.ids[3])
    refused, listed = generation.answers([Asked(Manner(k=3), known), Asked(Manner(k=3))])
    assert isinstance(refused, ArtefactError)
    assert len(listed["items"]) == 3
    events.close()


def test_many_users_at_once_and_those_of_whom_nothing_is_known(client, recommender):
    users = [str(each) for each in recommender.users.ids[:20]]
    found = client.post("/recommend/batch", json={"users": [*users, "nobody"], "k": 4}).json()
    assert found["unknown"] == ["nobody"]
    expected = [record_of(each) for each in recommender.recommend(users, k=4)]
    assert [each["user"] for each in found["lists"]] == users
    for one, other in zip(found["lists"], expected, strict=True):
        assert [each["item"] for each in one["items"]] == [each["item"] for each in other["items"]]


@pytest.mark.parametrize(("why", "n_pieces"), [(False, 1), (True, 3)])
def test_a_batch_comes_piece_by_piece(client, recommender, monkeypatch, why, n_pieces):
    users = [str(each) for each in recommender.users.ids[:60]]
    blocks = []
    answers = Generation.answers
    monkeypatch.setattr(
        Generation, "answers", lambda self, block: blocks.append(len(block)) or answers(self, block)
    )
    asked = {"users": users, "k": 10, "why": why}
    found = client.post("/recommend/batch", json=asked).json()
    assert [each["user"] for each in found["lists"]] == users
    assert sum(blocks) == 60
    assert len(blocks) >= n_pieces
    assert max(blocks) <= (AT_ONCE // 10 if why else AT_ONCE)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/recommend", {"user": "nobody"}, 404, "unknown user 'nobody'"),
        ("/recommend", {"items": ["nothing"]}, 404, "unknown item 'nothing'"),
        ("/recommend", {"user": 7}, 422, "body.user: Input should be a valid string"),
        ("/recommend", {"user": ""}, 422, "body.user"),
        ("/recommend", {"items": [], "k": 0}, 422, "body.k: Input should be greater than"),
        ("/recommend", {"items": [], "k": 1001}, 422, "body.k: Input should be less than"),
        ("/recommend", {"items": [], "k": "5"}, 422, "body.k"),
        ("/recommend", {"items": [], "kk": 5}, 422, "body.kk: Extra inputs are not permitted"),
        ("/recommend", {"items": ["x"] * 5001}, 422, "body.items"),
        ("/recommend", {"items": [], "rules": {"where": "genre ="}}, 422, "expected"),
        ("/recommend", {"items": [], "rules": {"where": "yeer > 1"}}, 422, "no column 'yeer'"),
        ("/recommend", {"items": [], "rules": {"diversity": 2}}, 422, "rules.diversity"),
        ("/recommend", {"items": [], "explore": -1}, 422, "body.explore"),
        ("/recommend/batch", {"users": []}, 422, "body.users"),
        ("/events", {"events": []}, 422, "body.events"),
        ("/events", {"events": [{"user": "a", "item": "b", "time": -1}]}, 422, "events.0.time"),
        ("/poems/similar", {"text": "明月"}, 409, "its data are no poems"),
        ("/poems/generate", {}, 409, "its data are no poems"),
        ("/poems/similar", {}, 422, "text: Field required"),
    ],
)
def test_a_mistake_is_told_in_one_line(client, path, body, status, said):
    found = client.post(path, json=body)
    assert found.status_code == status, found.text
    assert set(found.json()) == {"detail"}
    assert said in found.json()["detail"]
    assert "\n" not in found.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b'{"user": "\\ud800"}',
        b'{"items": ["\\ud800"]}',
        b'{"items": [], "rules": {"diversity": NaN}}',
        b'{"items": [], "k": 1e999}',
        b'{"items": [], "k": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"\xff": 1}',
        b'{"user": "a", "user": 7}',
    ],
)
def test_a_body_that_is_no_request_gets_a_4xx(client, body):
    found = client.post("/recommend", content=body, headers={"Content-Type": "application/json"})
    assert found.status_code in (400, 404, 422), found.text
    assert list(found.json()) == ["detail"]


@pytest.mark.parametrize("body", [b"{", b'{"user": "u001"', b"nonsense"])
def test_broken_json_is_called_so(client, body):
    found = client.post("/recommend", content=body, headers={"Content-Type": "application/json"})
    assert found.status_code == 400
    assert found.json()["detail"].startswith("the body is no JSON: ")


def test_similar_items_by_each_path(client, recommender):
    item = str(recommender.items.ids[0])
    found = client.get(f"/similar/items/{item}", params={"k": 4}).json()
    expected = recommender.similar_items(item, 4)
    assert found["query"] == item
    assert [each["item"] for each in found["items"]] == [each.id for each in expected]
    refused = client.get(f"/similar/items/{item}", params={"path": "sparse"})
    assert (refused.status_code, "no item-item path" in refused.text) == (422, True)
    assert client.get("/similar/items/none").status_code == 404


def test_similar_users(client, recommender):
    user = str(recommender.users.ids[0])
    found = client.get(f"/similar/users/{user}", params={"k": 4}).json()
    assert [each["user"] for each in found["items"]] == [
        each.id for each in recommender.similar_users(user, 4)
    ]


def test_items_are_found_by_title_whatever_the_case(client, recommender):
    title = recommender.titles[str(recommender.items.ids[5])]
    found = client.get("/items", params={"query": title.upper()[:6]}).json()
    assert title in [each["title"] for each in found["items"]]
    assert found["total"] >= len(found["items"])
    whole = client.get("/items", params={"limit": 200}).json()
    assert whole["total"] == len(recommender.items)
    assert client.get("/items", params={"query": "no such film"}).json()["total"] == 0


def test_pages_of_the_catalogue_do_not_overlap(client):
    first, second = (
        client.get("/items", params={"limit": 10, "start": start}).json()["items"]
        for start in (0, 10)
    )
    assert len({each["item"] for each in [*first, *second]}) == 20


def test_a_user_is_found_by_the_beginning_of_the_id(client, recommender):
    user = str(recommender.users.ids[0])
    assert user in client.get("/users", params={"query": user[:3]}).json()["users"]
    history = client.get(f"/users/{user}").json()
    assert history["total"] == recommender.histories(recommender.users.positions([user])).nnz


def test_the_map_holds_every_item(client, recommender):
    found = client.get("/map").json()
    assert len(found["points"]) == len(recommender.items)
    assert all(0 <= each["x"] <= 1 and 0 <= each["y"] <= 1 for each in found["points"])
    assert {each["cluster"] for each in found["points"]} <= set(range(len(found["clusters"])))


def test_an_event_counts_at_once(client, recommender):
    user, item = str(recommender.users.ids[3]), None
    before = items_of(client.post("/recommend", json={"user": user, "k": 5}))
    item = before[0]
    kept = client.post("/events", json={"events": [{"user": user, "item": item, "value": 5}]})
    assert (kept.status_code, kept.json()) == (201, {"accepted": 1})
    after = items_of(client.post("/recommend", json={"user": user, "k": 5}))
    assert item not in after
    assert item in [each["item"] for each in client.get(f"/users/{user}").json()["items"]]


def test_a_new_user_is_known_from_the_first_event_on(client, recommender):
    liked = [str(each) for each in recommender.items.ids[:3]]
    assert client.post("/recommend", json={"user": "zoe"}).status_code == 404
    client.post(
        "/events", json={"events": [{"user": "zoe", "item": each, "value": 5} for each in liked]}
    )
    found = items_of(client.post("/recommend", json={"user": "zoe", "k": 5}))
    (expected,) = recommender.recommend(items=liked, k=5)
    assert found == [each.item for each in expected.items]


def test_who_is_like_a_user_follows_from_the_events_too(client, recommender):
    events = [{"user": "zoe", "item": str(recommender.items.ids[0]), "value": 5}]
    assert client.get("/similar/users/zoe").status_code == 404
    client.post("/events", json={"events": events})
    expected = recommender.similar_users("zoe", 3, recommender._liked([events[0]["item"]]))
    found = client.get("/similar/users/zoe", params={"k": 3}).json()["items"]
    assert [each["user"] for each in found] == [each.id for each in expected]


def rated(client, user, item, value, time):
    rating = {"user": user, "item": item, "value": value, "time": time}
    assert client.post("/events", json={"events": [rating]}).status_code == 201


def value_of(client, user, item):
    generation = client.served.current
    history, column = generation.history(user), generation.recommender.items.position(item)
    return dict(zip(history.columns.tolist(), history.values.tolist(), strict=True))[column]


def test_of_two_ratings_the_later_one_counts_whenever_it_arrives(client, recommender):
    user, item = str(recommender.users.ids[3]), str(recommender.items.ids[0])
    rated(client, user, item, 5, 2e9)
    rated(client, user, item, 1, 1.9e9)
    assert value_of(client, user, item) == 5


def test_an_event_older_than_the_row_of_its_item_counts_for_nothing(client, recommender):
    user = str(recommender.users.ids[3])
    item = min(recommender.store.items_of(user))
    before = value_of(client, user, item)
    rated(client, user, item, 7, 1.0)
    assert value_of(client, user, item) == before
    rated(client, user, item, 7, 4e9)
    assert value_of(client, user, item) == 7


def test_a_new_user_of_unknown_items_gets_what_is_popular(client):
    client.post("/events", json={"events": [{"user": "zoe", "item": "new", "value": 5}]})
    found = client.post("/recommend", json={"user": "zoe", "k": 2}).json()
    assert (found["user"], found["reason"]) == ("zoe", "popularity")


def test_an_event_that_is_sent_again_is_kept_once(client):
    body = {"events": [{"user": "zoe", "item": "a", "value": 5, "key": "k1"}]}
    assert client.post("/events", json=body).json() == {"accepted": 1}
    assert client.post("/events", json=body).json() == {"accepted": 0}


def test_a_full_disk_refuses_events_and_recommends_on(client, recommender, monkeypatch):
    connection = client.served.events._connection

    def full():
        found = connection()
        found.execute("PRAGMA max_page_count = 5")
        return found

    monkeypatch.setattr(client.served.events, "_connection", full)
    events = [{"user": "zoe", "item": "x" * 900, "value": 5} for _ in range(1000)]
    found = client.post("/events", json={"events": events})
    assert (found.status_code, "full" in found.json()["detail"]) == (503, True)
    assert client.post("/recommend", json={"items": [], "k": 3}).status_code == 200


def test_state(client, recommender):
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["model"] == recommender.index.model_fingerprint
    assert (ready["n_users"], ready["n_items"]) == (600, len(recommender.items))
    assert ready["last_reload_error"] is None


def test_what_is_asked_is_counted(client):
    client.post("/recommend", json={"items": []})
    client.post("/recommend", json={"items": ["nothing"]})
    text = client.get("/metrics").text
    assert 'recsys_requests_total{method="POST",path="/recommend",status="200"}' in text
    assert 'recsys_requests_total{method="POST",path="/recommend",status="404"}' in text
    assert 'recsys_request_seconds_bucket{le="0.001",path="/recommend"}' in text


def test_a_request_keeps_its_id_or_gets_one(client, caplog):
    with caplog.at_level("INFO", logger="recsys.serving"):
        found = client.get("/healthz", headers={"X-Request-ID": "abc-123"})
    assert found.headers["x-request-id"] == "abc-123"
    assert caplog.records[-1].request_id == "abc-123"
    assert caplog.records[-1].status == 200
    made = client.get("/healthz", headers={"X-Request-ID": "two\twords"}).headers["x-request-id"]
    assert len(made) == 32


def test_a_new_model_takes_the_place_of_the_old(client, served_workspace, workspace, tmp_path):
    from recsys.pipelines.cli import run

    old = client.get("/readyz").json()["model"]
    shutil.rmtree(served_workspace / "index")
    assert client.served.reload() is False
    ready = client.get("/readyz").json()
    assert ready["model"] == old
    assert "there is no index" in ready["last_reload_error"]
    assert client.post("/recommend", json={"items": [], "k": 3}).status_code == 200
    before = ["--workspace", str(served_workspace)]
    words = ("-S", "vae.latent_dim=8", "-S", "vae.hidden_dim=16", "-S", "training.epochs=1")
    assert run([*before, "train", "-S", "model.kind=vae", *words]) == 0
    assert run([*before, "index"]) == 0
    assert client.served.reload() is True
    ready = client.get("/readyz").json()
    assert ready["model"] != old
    assert ready["last_reload_error"] is None


def test_a_damaged_model_is_refused_and_the_old_one_goes_on(client, served_workspace):
    weights = next((served_workspace / "model").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-9])
    assert client.served.reload() is False
    assert client.post("/recommend", json={"items": [], "k": 3}).status_code == 200


def test_events_that_were_folded_in_are_not_counted_twice(client, served_workspace, recommender):
    from recsys.pipelines.cli import run

    user = str(recommender.users.ids[3])
    item = items_of(client.post("/recommend", json={"user": user}))[0]
    client.post("/events", json={"events": [{"user": user, "item": item, "value": 5}]})
    length = client.get(f"/users/{user}").json()["total"]
    assert run(["--workspace", str(served_workspace), "ingest", "--from-events"]) == 0
    assert client.served.reload() is True
    assert client.served.current._events_through == 1
    assert client.get(f"/users/{user}").json()["total"] == length


def test_who_was_too_rare_for_the_data_is_known_still(client, served_workspace, recommender):
    from recsys.pipelines.cli import run

    rating = {"user": "zoe", "item": str(recommender.items.ids[0]), "value": 5}
    client.post("/events", json={"events": [rating]})
    before = items_of(client.post("/recommend", json={"user": "zoe"}))
    words = ["ingest", "--from-events", "--min-user-interactions", "2"]
    assert run(["--workspace", str(served_workspace), *words]) == 0
    assert client.served.reload() is True
    assert "zoe" not in client.served.current.recommender.users
    assert items_of(client.post("/recommend", json={"user": "zoe"})) == before


def test_an_item_that_was_too_rare_for_the_data_is_met_still(client, served_workspace, recommender):
    from recsys.pipelines.cli import run

    user = str(recommender.users.ids[3])
    rated(client, user, "rare", 5, 4e9)
    words = ["ingest", "--from-events", "--min-item-interactions", "2"]
    assert run(["--workspace", str(served_workspace), *words]) == 0
    assert client.served.reload() is True
    assert "rare" not in client.served.current.recommender.store.interactions.items
    assert client.served.current.history(user).met == {"rare"}


def test_while_new_data_wait_for_their_model_everybody_is_answered(
    client, served_workspace, recommender
):
    from recsys.pipelines.cli import run

    user = str(recommender.users.ids[3])
    rated(client, user, str(recommender.items.ids[0]), 5, 4e9)
    before = items_of(client.post("/recommend", json={"user": user}))
    assert run(["--workspace", str(served_workspace), "ingest", "--from-events"]) == 0
    assert items_of(client.post("/recommend", json={"user": user})) == before
    assert client.get(f"/similar/users/{user}").status_code == 200


def test_the_page_comes_whole_and_from_nowhere_else(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("page.css", "page.js"):
        assert name in page.text
        assert "http://" not in client.get(f"/{name}").text.replace("http://www.w3.org/", "")
    assert "access-control-allow-origin" not in page.headers


def test_the_document_describes_every_address_with_an_example(client):
    document = client.get("/openapi.json").json()
    assert {"/recommend", "/recommend/batch", "/events", "/items", "/metrics"} <= set(
        document["paths"]
    )
    schemas = document["components"]["schemas"]
    for name in ("RecommendAsked", "BatchAsked", "EventsAsked", "GenerateAsked"):
        assert schemas[name]["examples"]


def test_where_data_are_ratings_an_event_needs_one(client):
    found = client.post("/events", json={"events": [{"user": "zoe", "item": "a"}]})
    assert found.status_code == 409
    assert "events.0.value: the data are ratings" in found.json()["detail"]
    assert client.served.events.last_position == 0


def test_a_rating_below_what_was_ingested_is_no_liking(serve, served_workspace, recommender):
    from recsys.pipelines.cli import run

    before = ["--workspace", str(served_workspace)]
    assert run([*before, "ingest", "--from-events", "--min-rating", "4"]) == 0
    client = serve()
    first, second = (str(each) for each in recommender.items.ids[:2])
    events = [
        {"user": "zoe", "item": first, "value": 3.5},
        {"user": "zoe", "item": second, "value": 4},
    ]
    client.post("/events", json={"events": events})
    assert [each["item"] for each in client.get("/users/zoe").json()["items"]] == [second]
    client.post("/events", json={"events": [{"user": "zoe", "item": second, "value": 1}]})
    assert client.get("/users/zoe").json()["items"] == []
    client.post("/events", json={"events": [{"user": "zoe", "item": second, "value": 5}]})
    assert [each["item"] for each in client.get("/users/zoe").json()["items"]] == [second]

"""recsys serve: what it refuses before anything is loaded; ingest --from-events."""

import builtins

import pytest

from recsys.data.artefact import open_interactions
from recsys.data.event_store import Event, EventStore


@pytest.fixture
def kept(changeable):
    """A workspace that was told of two events."""
    store = EventStore(changeable / "events.sqlite")
    store.append([Event("zoe", "001", 5.0, 1e9), Event("zoe", "brand-new", 2.0, 2e9)])
    store.close()
    return changeable


def test_an_empty_token_lets_nobody_in(cli, made, monkeypatch):
    monkeypatch.setenv("RECSYS_TOKEN", "")
    found = cli("serve", workspace=made)
    assert (found.code, "token in RECSYS_TOKEN must be" in found.complaint) == (3, True)


@pytest.mark.parametrize(
    ("content", "said"),
    [("short", "must be 16 or more plain characters"), ("é" * 20, "plain characters")],
)
def test_a_weak_token_is_refused(cli, made, tmp_path, content, said):
    (tmp_path / "token").write_text(content)
    found = cli("serve", "--token-file", tmp_path / "token", workspace=made)
    assert found.code == 3
    assert said in found.complaint
    assert content not in found.complaint


def test_a_missing_token_file_is_refused(cli, made, tmp_path):
    found = cli("serve", "--token-file", tmp_path / "none", workspace=made)
    assert (found.code, "cannot be read" in found.complaint) == (3, True)


def test_without_the_extra_it_says_what_to_install(cli, made, monkeypatch):
    plain = builtins.__import__

    def without_fastapi(name, *rest):
        if name == "fastapi":
            raise ImportError("no module", name="fastapi")
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_fastapi)
    found = cli("serve", workspace=made)
    assert found.code == 2
    assert "pip install 'recsys-vae[serve]'" in found.complaint


def test_an_address_of_another_machine_is_refused(cli, made):
    found = cli("serve", "--host", "192.0.2.1", workspace=made)
    assert found.code == 2
    assert "cannot listen on 192.0.2.1" in found.complaint


def test_events_become_rows_of_what_was_ingested(cli, kept):
    before = open_interactions(kept / "interactions")
    n_before, titles = len(before.events()), before.titles()
    found = cli("ingest", "--from-events", workspace=kept)
    assert found.code == 0, found.err
    after = open_interactions(kept / "interactions")
    assert len(after.events()) == n_before + 2
    assert {"001", "brand-new"} == {
        after.interactions.items.ids[each]
        for each in after.interactions.matrix[[after.interactions.users.position("zoe")]].indices
    }
    assert after.titles() == titles
    assert "and 2 events of" in found.err


def test_folding_twice_counts_once(cli, kept):
    assert cli("ingest", "--from-events", workspace=kept).code == 0
    once = open_interactions(kept / "interactions").fingerprint
    again = cli("ingest", "--from-events", workspace=kept)
    assert "and 0 events of" in again.err
    assert open_interactions(kept / "interactions").fingerprint == once


def test_a_new_file_gets_all_events_again(cli, kept, sample_file, titles_file):
    assert cli("ingest", "--from-events", workspace=kept).code == 0
    words = ("ingest", sample_file, "--items", titles_file, "--from-events")
    assert cli(*words, workspace=kept).code == 0
    assert "zoe" in open_interactions(kept / "interactions").interactions.users


def test_the_filters_of_before_hold_for_events_too(cli, kept, sample_file, titles_file):
    words = ("ingest", sample_file, "--items", titles_file, "--min-rating", "4")
    assert cli(*words, workspace=kept).code == 0
    assert cli("ingest", "--from-events", workspace=kept).code == 0
    items = open_interactions(kept / "interactions").interactions.items
    assert "brand-new" not in items  # its rating was 2


def test_who_had_too_few_at_first_comes_in_with_what_follows(cli, kept, sample_file):
    words = ("ingest", sample_file, "--min-user-interactions", "4")
    assert cli(*words, workspace=kept).code == 0
    found = cli("ingest", "--from-events", workspace=kept)
    assert "2 events of users or items that were dropped: kept in" in found.err
    assert "zoe" not in open_interactions(kept / "interactions").interactions.users
    store = EventStore(kept / "events.sqlite")
    store.append([Event("zoe", "002", 5.0, 2e9), Event("zoe", "003", 5.0, 2e9)])
    store.close()
    found = cli("ingest", "--from-events", workspace=kept)
    assert ("and 4 events of" in found.err, "kept in" in found.err) == (True, False)
    assert len(open_interactions(kept / "interactions").items_of("zoe")) == 4


def test_another_store_in_its_place_is_read_from_its_beginning(cli, kept):
    assert cli("ingest", "--from-events", workspace=kept).code == 0
    for each in kept.glob("events.sqlite*"):
        each.unlink()
    store = EventStore(kept / "events.sqlite")
    store.append([Event("eve", "001", 5.0, 1e9)])
    store.close()
    assert "1 event since" in cli("info", workspace=kept).out
    assert cli("ingest", "--from-events", workspace=kept).code == 0
    assert open_interactions(kept / "interactions").items_of("eve") == {"001"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from-events", "--user-column", "u"), "--user-column is for rows"),
        (("--from-events", "--poems", "x"), "not for --poems"),
        ((), "found neither"),
    ],
)
def test_options_that_do_not_go_together_are_refused(cli, kept, words, said):
    found = cli("ingest", *words, workspace=kept)
    assert (found.code, said in found.complaint) == (2, True), found.err


def test_without_anything_ingested_there_is_nothing_to_fold_into(cli, tmp_path):
    found = cli("ingest", "--from-events", workspace=tmp_path / "new")
    assert found.code == 1
    assert "there is no interactions at" in found.complaint


def test_poems_take_no_events(cli, poem_workspace):
    found = cli("ingest", "--from-events", workspace=poem_workspace)
    assert (found.code, "are poems" in found.complaint) == (2, True)


def test_info_tells_how_many_events_wait(cli, kept):
    def said():
        (row,) = (each for each in cli("info", workspace=kept).records if each["stage"] == "ingest")
        return row["why"]

    assert "2 events since: `recsys ingest --from-events`" in said()
    assert cli("ingest", "--from-events", workspace=kept).code == 0
    assert said() == ""

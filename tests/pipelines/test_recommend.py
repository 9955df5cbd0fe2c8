"""recsys recommend: whom it answers, whom it refuses, and what it leaves out."""

import csv
import gzip
import io
import json

import pyarrow.parquet as pq
import pytest


def items_of(record):
    return [each["item"] for each in record["items"]]


@pytest.fixture(scope="module")
def history_of(sample_file):
    """User -> the items of the sample's file."""
    found = {}
    with open(sample_file, newline="") as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["user_id"], set()).add(row["item_id"])
    return found


# ---- known users


def test_users_are_answered_in_the_order_that_was_asked_for(cli, made):
    words = ("--user", "u300", "--user", "u002", "--user", "u300")
    records = cli("recommend", *words, workspace=made).records
    assert [each["user"] for each in records] == ["u300", "u002", "u300"]
    assert items_of(records[0]) == items_of(records[2])


def test_one_unknown_user_prints_nothing_and_names_the_nearest(cli, made):
    result = cli("recommend", "--user", "u001", "--user", "U002", workspace=made)
    assert result.code == 4
    assert result.complaint == (
        "recsys: unknown user 'U002' (of 600 known); the nearest known: 'u002'"
    )


def test_skip_unknown_passes_over_an_unknown_user_too(cli, made):
    words = ("recommend", "--user", "u001", "--user", "U002", "--skip-unknown")
    result = cli(*words, workspace=made)
    assert result.code == 0
    assert [each["user"] for each in result.records] == ["u001"]
    assert "unknown user 'U002' (of 600 known); the nearest known: 'u002'" in result.err


def test_of_users_from_a_file_the_known_are_answered_and_the_unknown_named(cli, made, tmp_path):
    path = tmp_path / "users.txt"
    path.write_bytes(b"\xef\xbb\xbfu001\r\n\r\nnobody\r\nu002\r\nU003\r\n")
    result = cli("recommend", "--users-from", path, workspace=made)
    assert [each["user"] for each in result.records] == ["u001", "u002"]
    assert result.code == 4
    assert "unknown users 'nobody', 'U003' (of 600 known)" in result.err
    tolerant = cli("recommend", "--users-from", path, "--skip-unknown", workspace=made)
    assert (tolerant.code, tolerant.out, tolerant.err) == (0, result.out, result.err)


def test_users_from_stdin_are_those_of_the_file(cli, made):
    result = cli("recommend", "--users-from", "-", workspace=made, stdin="u001\nu002\n")
    words = ("recommend", "--user", "u001", "--user", "u002")
    assert result == cli(*words, workspace=made)


def test_a_list_of_users_that_cannot_be_read_is_refused(cli, made, tmp_path):
    missing = cli("recommend", "--users-from", tmp_path / "none.txt", workspace=made)
    assert missing.code == 3
    assert missing.complaint == f"recsys: {tmp_path / 'none.txt'}: no such file"
    (tmp_path / "latin.txt").write_bytes("é\n".encode("latin-1"))
    latin = cli("recommend", "--users-from", tmp_path / "latin.txt", workspace=made)
    assert latin.code == 3
    assert "latin.txt is not UTF-8 (byte 0); convert it first" in latin.complaint


def test_seen_items_never_come_back_unless_they_are_asked_for(cli, made, history_of):
    (record,) = cli("recommend", "--user", "u001", "-k", "240", workspace=made).records
    assert not history_of["u001"] & set(items_of(record))
    assert len(record["items"]) == 240 - len(history_of["u001"])
    words = ("recommend", "--user", "u001", "-k", "240", "--include-seen")
    (record,) = cli(*words, workspace=made).records
    assert len(record["items"]) == 240
    assert "requested" not in record


# ---- lists of items


def test_items_one_by_one_and_as_a_record_are_the_same(cli, made):
    single = cli("recommend", "--item", "001", "--item", "007x", workspace=made)
    assert single == cli("recommend", "--items", '001,"007x"', workspace=made)
    assert single.records[0]["user"] is None
    assert not {"001", "007x"} & set(items_of(single.records[0]))


def test_one_unknown_item_prints_nothing_and_names_the_nearest(cli, made):
    result = cli("recommend", "--items", "001,007", workspace=made)
    assert result.code == 4
    assert "unknown item '007' (of 240 known); the nearest known: '007x'" in result.complaint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "none was given"),
        (("--items", ""), "none was given"),
        (("--user", "u001", "--item", "001"), "more than one was given"),
        (("--users-from", "-", "--history", "-"), "more than one was given"),
        (("--items", "001", "--history", "-"), "more than one was given"),
        (("--items", '001,"002'), "is not one CSV record"),
        (("--items", "001\n002"), "is not one CSV record"),
        (("--user", "u001", "-k", "0"), "recommend.k is 0, expected at least 1"),
        (("--user", "u001", "-k", "-3"), "recommend.k is -3, expected at least 1"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(cli, made, words, message):
    result = cli("recommend", *words, workspace=made)
    assert result.code == 2
    assert message in result.complaint


# ---- histories from outside


HISTORIES = {
    "h.csv": "user,item\nnew,001\nnew,002\nu001,003\nnew,no such item\nlost,none\n",
    "h.tsv": "user\titem\nnew\t001\nnew\t002\nu001\t003\nnew\tno such item\nlost\tnone\n",
    "h.jsonl": "\n".join(
        json.dumps({"user": user, "item": item})
        for user, item in [
            ("new", "001"),
            ("new", "002"),
            ("u001", "003"),
            ("new", "no such item"),
            ("lost", "none"),
        ]
    ),
    "h.inter": "user_id:token\titem_id:token\nnew\t001\nnew\t002\nu001\t003\n"
    "new\tno such item\nlost\tnone\n",
}


@pytest.mark.parametrize("name", HISTORIES)
def test_every_user_of_a_history_file_is_folded_in(cli, made, tmp_path, name):
    path = tmp_path / name
    path.write_text(HISTORIES[name])
    result = cli("recommend", "--history", path, "-k", "3", workspace=made)
    assert result.code == 0
    lists = {each["user"]: items_of(each) for each in result.records}
    assert set(lists) == {"new", "u001", "lost"}
    (asked,) = cli("recommend", "--items", "001,002", "-k", "3", workspace=made).records
    assert lists["new"] == items_of(asked)
    (asked,) = cli("recommend", "--items", "003", "-k", "3", workspace=made).records
    assert lists["u001"] == items_of(asked)
    assert f"{path}: not in the model: 2 of 5 items" in result.err
    assert "user lost has no history that the model knows: ranked by popularity" in result.err
    assert {each["user"]: each.get("reason") for each in result.records} == {
        "new": None,
        "u001": None,
        "lost": "popularity",
    }


def test_a_zipped_history_and_one_on_stdin_are_read_too(cli, made, tmp_path):
    text = HISTORIES["h.csv"]
    (tmp_path / "h.csv.gz").write_bytes(gzip.compress(text.encode()))
    zipped = cli("recommend", "--history", tmp_path / "h.csv.gz", workspace=made)
    piped = cli("recommend", "--history", "-", workspace=made, stdin=text)
    assert (zipped.code, zipped.out) == (0, piped.out)


def test_popularity_is_the_share_of_training_users(cli, made, tmp_path):
    (tmp_path / "h.csv").write_text("user,item\nlost,none\n")
    result = cli("recommend", "--history", tmp_path / "h.csv", "-k", "240", workspace=made)
    (record,) = result.records
    scores = [each["score"] for each in record["items"]]
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] < scores[0] < 1


# ---- allow and deny


def test_with_allow_and_deny_n_asked_is_n_given(cli, made, tmp_path, history_of):
    allowed = sorted({f"{n:03}" for n in range(1, 61)} - history_of["u001"])
    allowed = [each for each in allowed if not each.endswith("7")]
    (tmp_path / "allow.txt").write_text("\n".join(allowed))
    words = ("recommend", "--user", "u001", "-k", "10", "--allow", tmp_path / "allow.txt")
    (first,) = cli(*words, workspace=made).records
    assert len(first["items"]) == 10
    assert set(items_of(first)) <= set(allowed)
    (tmp_path / "deny.txt").write_text("\n".join(items_of(first)))
    (second,) = cli(*words, "--deny", tmp_path / "deny.txt", workspace=made).records
    assert len(second["items"]) == 10
    assert set(items_of(second)) <= set(allowed) - set(items_of(first))


def test_rules_about_unknown_items_are_counted(cli, made, tmp_path):
    path = tmp_path / "deny.txt"
    words = ("recommend", "--user", "u001", "--deny", path)
    path.write_text("001\nno such item\n")
    result = cli(*words, workspace=made)
    assert result.code == 0
    assert f"--deny {path}: not in the model: 1 of 2 ids ('no such item')\n" in result.err
    path.write_text("a\nb\nc\nd\n")
    result = cli(*words, workspace=made)
    assert f"--deny {path}: not in the model: 4 of 4 ids ('a', 'b', 'c', ...)\n" in result.err


def test_an_allow_list_of_unknown_items_gives_nothing_and_says_so(cli, made, tmp_path):
    (tmp_path / "allow.txt").write_text("no such item\n")
    words = ("recommend", "--user", "u001", "-k", "2", "--allow", tmp_path / "allow.txt")
    result = cli(*words, workspace=made)
    assert result.records == [{"user": "u001", "items": [], "requested": 2}]
    assert "user u001: only 0 of 2 exist under these rules" in result.err


def test_an_empty_allow_file_is_refused(cli, made, tmp_path):
    full, empty = tmp_path / "allow.txt", tmp_path / "empty.txt"
    full.write_text("001\n")
    empty.write_text("\n")
    words = ("recommend", "--user", "u001", "--allow", full, "--allow", empty)
    result = cli(*words, workspace=made)
    assert result.code == 3
    assert f"--allow {empty} holds no id, expected one a line" in result.complaint


def test_files_of_a_repeated_allow_or_deny_add_up(cli, made, tmp_path, history_of):
    unseen = [each for each in (f"{n:03}" for n in range(1, 61)) if each not in history_of["u001"]]
    unseen = [each for each in unseen if not each.endswith("7")]
    for name, ids in (("a", unseen[:2]), ("b", unseen[2:4])):
        (tmp_path / name).write_text("\n".join(ids))
    both = [word for name in "ab" for word in ("--allow", tmp_path / name)]
    words = ("recommend", "--user", "u001", "-k", "240")
    (record,) = cli(*words, *both, workspace=made).records
    assert set(items_of(record)) == set(unseen[:4])
    both = [word for name in "ab" for word in ("--deny", tmp_path / name)]
    (record,) = cli(*words, *both, workspace=made).records
    assert not set(items_of(record)) & set(unseen[:4])
    assert len(record["items"]) == 240 - len(history_of["u001"]) - 4


# ---- rules


def test_rules_on_attributes_and_on_lists(cli, made, titles_file):
    with open(titles_file, newline="") as stream:
        rows = {row["item_id"]: row for row in csv.DictReader(stream)}
    genre = rows["001"]["genre"]
    words = ("recommend", "--user", "u001", "-k", "5")
    (record,) = cli(*words, "--where", f"genre != '{genre}'", workspace=made).records
    assert genre not in {rows[each]["genre"] for each in items_of(record)}
    (record,) = cli(*words, "--at-most", "1:genre", workspace=made).records
    assert len({rows[each]["genre"] for each in items_of(record)}) == len(record["items"])
    plain, diverse, rare = (
        cli(*words, *more, workspace=made).records[0]
        for more in ((), ("--diversity", "0.9"), ("--popularity", "-5"))
    )
    assert items_of(plain) != items_of(diverse)
    assert items_of(plain) != items_of(rare)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--where", "genre"), "where 'genre': expected = == !="),
        (("--where", "gendre = 'x'"), "items have no column 'gendre'; did you mean 'genre'?"),
        (("--at-most", "genre"), "--at-most 'genre': expected N:COLUMN, such as 2:artist"),
        (("--at-most", "1:artist"), "items have no column 'artist'"),
        (("--diversity", "2"), "diversity is 2.0, expected at least 0 and at most 1"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(cli, made, words, message):
    result = cli("recommend", "--user", "u001", *words, workspace=made)
    assert (result.code, result.out) == (2, "")
    assert message in result.complaint


# ---- reasons, and exploring


def test_why_tells_reasons_and_intervals_in_every_format(cli, made, history_of):
    words = ("recommend", "--user", "u001", "-k", "2", "--why")
    (record,) = cli(*words, workspace=made).records
    for each in record["items"]:
        assert each["low"] < each["score"] < each["high"]
        assert [*each["why"][0]] == ["item", "score", "title"]
        assert {one["item"] for one in each["why"]} <= history_of["u001"]
    table = cli(*words, "--format", "table", workspace=made).out
    assert "because of" in table
    assert f"{each['why'][0]['title']} (+{each['why'][0]['score']:.2f})" in table
    assert cli(*words, "--format", "csv", workspace=made).out.startswith("user,item,rank,score\n")


def test_exploring_is_repeatable_by_its_seed(cli, made):
    words = ("recommend", "--user", "u001", "-k", "20", "--explore")
    first, again, other = (cli(*words, seed, workspace=made).out for seed in "112")
    assert first == again != other


# ---- the table


def test_the_table_shows_what_was_liked_and_titles_and_scores(cli, made, titles_file):
    with open(titles_file, newline="") as stream:
        titles = {row["item_id"]: row["title"] for row in csv.DictReader(stream)}
    words = ("recommend", "--user", "u001", "-k", "3")
    (record,) = cli(*words, workspace=made).records
    out = cli(*words, "--format", "table", workspace=made).out
    assert "User u001 liked (10 of 33)" in out
    assert "Recommended for user u001" in out
    for each in record["items"]:
        assert each["title"] == titles[each["item"]]
        assert each["title"] in out
        assert f"{each['score']:.3f}" in out


def test_rows_without_room_for_reasons_say_so(cli, made, tmp_path):
    words = ("recommend", "--user", "u001", "--why")
    said = "rows of user, item, rank and score tell no reasons, nor what is new: json does\n"
    assert cli(*words, "--format", "csv", workspace=made).err == said
    assert cli(*words, "--output", tmp_path / "a.parquet", workspace=made).err.startswith(said)
    assert cli(*words, "--format", "json", workspace=made).err == ""


# ---- ids stay what the caller wrote


ODD = ["a,b", 'say "hi"', "😀🎬", "007", "7", "紅樓夢", " spaced out ", "Ünï", "1e3", "null", "nan"]


@pytest.fixture(scope="module")
def odd_workspace(tmp_path_factory, tiny_flags):
    """Users and items with every id that careless code would spoil."""
    from recsys.pipelines.cli import run

    folder = tmp_path_factory.mktemp("odd")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["user_id", "item_id"])
    for row, user in enumerate([*ODD, *(f"u{n}" for n in range(9))]):
        writer.writerows([user, item] for n, item in enumerate(ODD) if (n + row) % 3)
    (folder / "odd.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    before = ["--workspace", str(folder / "workspace")]
    assert run([*before, "ingest", str(folder / "odd.csv")]) == 0
    assert run([*before, "train", "--split", "none", *tiny_flags]) == 0
    assert run([*before, "index"]) == 0
    return folder / "workspace"


@pytest.mark.parametrize("odd", ODD)
def test_odd_ids_survive_all_stages_in_every_format(cli, odd_workspace, tmp_path, odd):
    words = ("recommend", "--user", odd, "-k", "20")
    result = cli(*words, workspace=odd_workspace)
    (record,) = result.records
    assert record["user"] == odd
    assert set(items_of(record)) <= set(ODD)
    assert json.loads(cli(*words, "--format", "json", workspace=odd_workspace).out) == [record]
    out = cli(*words, "--format", "csv", workspace=odd_workspace).out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["user"], row["item"]) for row in rows] == [
        (odd, each) for each in items_of(record)
    ]
    cli(*words, "--output", tmp_path / "a.parquet", workspace=odd_workspace)
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["item"].to_pylist() == items_of(record)
    assert set(table["user"].to_pylist()) == {odd}


@pytest.mark.parametrize("odd", ODD)
def test_odd_ids_can_be_asked_for_in_one_record(cli, odd_workspace, odd):
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([odd, "紅樓夢"])
    result = cli("recommend", "--items", text.getvalue(), "-k", "20", workspace=odd_workspace)
    (record,) = result.records
    assert set(items_of(record)) == set(ODD) - {odd, "紅樓夢"}
    similar = cli("similar", "--item", odd, workspace=odd_workspace)
    assert similar.records[0]["query"] == odd


def test_ids_and_titles_are_no_markup(cli, tmp_path, tiny_flags):
    odd = ["[/x]", "[red]y", ":heart:", "plain"]
    rows = [f"u{user},{odd[(user + n) % 4]}" for user in range(40) for n in range(3)]
    clicks = tmp_path / "clicks.csv"
    clicks.write_text("user,item\n" + "\n".join(rows) + "\n")
    root = tmp_path / "workspace"
    for words in (("ingest", clicks), ("train", *tiny_flags, "--split", "none"), ("index",)):
        assert cli(*words, workspace=root).code == 0
    words = ("recommend", "--user", "u0", "--include-seen", "-k", "4", "--format", "table")
    out = cli(*words, workspace=root).out
    for item in odd:
        assert item in out


def test_a_history_file_is_read_as_the_ingest_settings_say(cli, made, tmp_path):
    histories = tmp_path / "h.csv"
    histories.write_text("klient,towar\nnew,001\nnew,002\n")
    columns = ("-S", "ingest.user_column=klient", "-S", "ingest.item_column=towar")
    result = cli("recommend", "--history", histories, *columns, "-k", "2", workspace=made)
    assert result.code == 0
    assert result.records[0]["user"] == "new"


def test_a_history_file_shows_nobody_elses_history(cli, made, tmp_path):
    histories = tmp_path / "h.csv"
    histories.write_text("user,item\nu001,001\n")
    words = ("recommend", "--history", histories, "--format", "table", "-k", "2")
    assert "liked" not in cli(*words, workspace=made).out


def test_a_list_longer_than_the_catalogue_costs_no_more_than_the_catalogue(cli, made):
    result = cli("recommend", "--user", "u001", "-k", "2000000000", workspace=made)
    assert result.code == 0
    assert result.records[0]["requested"] == 2_000_000_000


def test_a_rating_model_refuses_histories_without_ratings(cli, changeable, tiny_flags, tmp_path):
    gaussian = ("-S", "likelihood=gaussian", "-S", "kl_weight=0.001")
    assert cli("train", *tiny_flags, *gaussian, workspace=changeable).code == 0
    assert cli("index", workspace=changeable).code == 0
    histories = tmp_path / "h.csv"
    histories.write_text("user,item\nnew,001\n")
    result = cli("recommend", "--history", histories, workspace=changeable)
    assert result.code == 3
    assert "has no ratings, and the model predicts ratings" in result.complaint


def test_ids_on_stdin_that_are_not_utf8_are_refused(cli, made):
    result = cli(
        "recommend", "--users-from", "-", workspace=made, stdin="Jos\u00e9".encode("latin-1")
    )
    assert result.code == 3
    assert "standard input is not UTF-8 (byte 3)" in result.complaint


def test_fewer_new_items_than_asked_for_are_told(cli, changeable, titles_file, sample_file):
    with_new = changeable.parent / "items.csv"
    with_new.write_text(titles_file.read_text() + "brand-new,A New One,Detective,1999\n")
    assert cli("ingest", sample_file, "--items", with_new, workspace=changeable).code == 0
    words = ("recommend", "--user", "u001", "-k", "5", "--new", "3")
    result = cli(*words, workspace=changeable)
    assert result.code == 0, result.err
    cold = [each for each in result.records[0]["items"] if each.get("cold")]
    assert (len(result.records[0]["items"]), len(cold)) == (5, 1)
    assert "user u001: only 1 of 3 new items exist under these rules" in result.err


@pytest.mark.parametrize(("noun", "query"), [("item", "001"), ("user", "u001")])
def test_fewer_neighbours_than_asked_for_are_told(cli, made, noun, query):
    result = cli("similar", f"--{noun}", query, "-k", "9999", workspace=made)
    (record,) = result.records
    assert record["requested"] == 9999
    assert f"{len(record['items'])} {noun}s are all there is, 9999 were asked for" in result.err
    assert "requested" not in cli("similar", f"--{noun}", query, "-k", "3", workspace=made).out

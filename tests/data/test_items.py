import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.data.items import read_items
from recsys.errors import ConfigError, DataError


def write(tmp_path, text, name="items.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_keeps_ids_quotes_and_embedded_line_ends(tmp_path):
    path = write(tmp_path, '\ufeffyear,movieId,title\r\n1995,007,"Toy, ""Story""\nII"\r\n,8,\r\n')
    frame = read_items(path)
    assert frame.columns.tolist() == ["item_id", "title", "year"]
    assert frame.to_numpy().tolist() == [["007", 'Toy, "Story"\nII', "1995"], ["8", "", ""]]


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("a.tsv", b"item_id\tname\n7\tGo\n"),
        ("a.item", b"item_id:token\tmovie_title:token_seq\n7\tGo\n"),
        ("a.csv.gz", gzip.compress(b"id,title\n7,Go\n", mtime=0)),
        ("a.jsonl", b'{"item_id": 7, "title": "Go"}\n\n'),
        ("items", b"sku,title\n7,Go\n"),
        ("a.csv", b'"Item ID";"Movie Title"\n7;"Go"\n'),
        ("a.csv", b"sep=;\r\nid;title\r\n7;Go\r\n"),
        ("a.csv", b"id|title\n7|Go\n"),
        ("a.ssv", b"id;title\n7;Go\n"),
    ],
)
def test_every_format_gives_the_same_item(tmp_path, name, raw):
    assert read_items(write(tmp_path, raw, name)).to_dict("records") == [
        {"item_id": "7", "title": "Go"}
    ]


def test_parquet_and_json_cells_become_text(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"item_id": [7], "title": ["Go"], "year": [None]}), path)
    assert read_items(path).to_numpy().tolist() == [["7", "Go", ""]]
    path = tmp_path / "b.parquet"
    columns = {"item_id": [7], "title": ["Go"], "price": [float("nan")], "new": [True]}
    pq.write_table(pa.table(columns | {"tags": [[]], "genres": [["a", "é"]]}), path)
    assert read_items(path).to_numpy().tolist() == [["7", "Go", "", "true", "", '["a", "é"]']]
    lines = '{"id": 7, "price": NaN, "new": true, "tags": [], "more": {}}\n'
    frame = read_items(write(tmp_path, lines, "b.jsonl"))
    assert frame.to_numpy().tolist() == [["7", "", "NaN", "true", "", ""]]
    lines = '{"id": 7, "tags": ["a", "é"]}\n{"id": 8, "title": null, "x": 1.50}\n'
    frame = read_items(write(tmp_path, lines, "a.jsonl"))
    assert frame.columns.tolist() == ["item_id", "title", "tags", "x"]
    assert frame.to_numpy().tolist() == [["7", "", '["a", "é"]', ""], ["8", "", "", "1.50"]]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_movies_dat_may_be_latin_1(tmp_path, encoding):
    path = write(
        tmp_path, "1::Misérables, Les (1995)::Drama|Musical\n".encode(encoding), "movies.dat"
    )
    assert read_items(path).to_dict("records") == [
        {"item_id": "1", "title": "Misérables, Les (1995)", "genres": "Drama|Musical"}
    ]


def test_u_item_has_its_known_layout(tmp_path):
    flags = "|".join("1" if each == 5 else "0" for each in range(19))
    path = write(
        tmp_path, f"1|Café (1995)|01-Jan-1995||http://x|{flags}\n".encode("latin-1"), "u.item"
    )
    row = read_items(path).iloc[0]
    assert (row["item_id"], row["title"], row["release_date"]) == (
        "1",
        "Café (1995)",
        "01-Jan-1995",
    )
    assert (row["genre_comedy"], row["genre_western"]) == ("1", "0")


def test_items_without_titles_have_empty_ones(tmp_path):
    assert read_items(write(tmp_path, "item_id,year\n1,2\n"))["title"].tolist() == [""]


def test_told_columns_are_used(tmp_path):
    path = write(tmp_path, "isbn,work,heading\n1,w,Go\n")
    frame = read_items(path, item="work", title="HEADING")
    assert frame.to_dict("records") == [{"item_id": "w", "title": "Go", "isbn": "1"}]


def test_told_columns_are_found_between_semicolons(tmp_path):
    path = write(tmp_path, 'Werk;Titel\nw;"Go;\nGo"\n')
    frame = read_items(path, item="werk", title="titel")
    assert frame.to_dict("records") == [{"item_id": "w", "title": "Go;\nGo"}]
    path = write(tmp_path, "Werk;x\nw;1\n")
    assert read_items(path, same_as="werk")["item_id"].tolist() == ["w"]


def test_a_line_for_excel_keeps_the_line_numbers_of_items(tmp_path):
    with pytest.raises(DataError, match="line 3: the item id is empty"):
        read_items(write(tmp_path, "sep=;\nid;title\n;Go\n"))


def test_an_exact_title_column_wins_over_other_names(tmp_path):
    frame = read_items(write(tmp_path, "item_id,name,title\n1,n,t\n"))
    assert frame["title"].tolist() == ["t"]


BOOKS = (
    "id,book_id,best_book_id,work_id,books_count,isbn,isbn13,authors,original_publication_year,"
    "original_title,title,language_code"
)


def write_books(tmp_path):
    return write(tmp_path, f"{BOOKS}\n1,27,28,w,3,044,978,Le Guin,1969,Left,Left Hand,eng\n")


@pytest.mark.parametrize("same_as", ["book_id", "BOOK_ID", "book_id:token", "Book ID"])
def test_the_column_called_as_in_the_interactions_holds_the_id(tmp_path, same_as):
    row = read_items(write_books(tmp_path), same_as=same_as).iloc[0]
    assert (row["item_id"], row["title"]) == ("27", "Left Hand")
    assert (row["isbn"], row["id"], row["original_title"]) == ("044", "1", "Left")


def test_the_same_name_counts_before_the_usual_ones_and_after_what_is_told(tmp_path):
    path = write_books(tmp_path)
    assert read_items(path, same_as="work_id")["item_id"].tolist() == ["w"]
    assert read_items(path, item="isbn", same_as="work_id")["item_id"].tolist() == ["044"]
    assert read_items(write(tmp_path, "sku,t\n1,x\n"), same_as="book_id")["item_id"][0] == "1"


def test_parquet_takes_the_same_name_too(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"isbn": ["044"], "book_id": [27]}), path)
    assert read_items(path, same_as="book_id")["item_id"].tolist() == ["27"]


@pytest.mark.parametrize("same_as", [None, "movie_id"])
def test_several_id_columns_are_refused_where_no_name_is_the_same(tmp_path, same_as):
    path = write_books(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read_items(path, same_as=same_as)
    assert str(caught.value) == (
        f"{path}: the id column could be 'book_id' or 'isbn': say which with --items-id-column; "
        f"the header is '{BOOKS}'"
    )


def test_a_same_name_that_two_columns_have_decides_nothing(tmp_path):
    path = write(tmp_path, "book_id,BOOK_ID\n1,2\n")
    with pytest.raises(ConfigError, match="could be 'book_id' or 'BOOK_ID': say which"):
        read_items(path, same_as="book_id")


def test_identical_rows_are_one_item(tmp_path):
    assert len(read_items(write(tmp_path, "item_id,title\n1,a\n1,a\n2,b\n"))) == 2


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "empty, expected a header and one row an item"),
        ("item_id,title\n", DataError, "no data rows, expected one an item"),
        ("item_id,title\n1,a\n\n2,b\n1,c\n", DataError, "line 5: item '1' was told of in line 2"),
        ("item_id,title\n1,a,b\n", DataError, "line 2: 3 fields where 2 were expected: '1,a,b'"),
        ("item_id,title\n,a\n", DataError, "line 2: the item id is empty"),
        ('item_id,title\n1,"a\n2,b\n', DataError, "line 2: quotes do not match in the row that"),
        (
            "name,title\na,b\n",
            DataError,
            "expected one of the usual names (id, anime_id, article_id,",
        ),
        ("name,title\na,b\n", DataError, "or --items-id-column NAME"),
        (
            "item_id,sku\na,b\n",
            ConfigError,
            "id column could be 'item_id' or 'sku': say which with --items-id-column",
        ),
        (
            "id,name,movie_title\na,b,c\n",
            ConfigError,
            "'movie_title': say which with --items-title-column",
        ),
        ("id,year,year\na,b,c\n", ConfigError, "two columns would be called 'year': rename one"),
        (b"item_id,title\n1,\xe9\n", DataError, "line 2: byte 0xe9 where UTF-8 text was expected"),
        (
            b"item_id,title\n1,\xe9\n",
            DataError,
            "find out the encoding (GB18030, LATIN1, ...), then iconv -f ENCODING -t UTF-8",
        ),
        (b"item_id,title\n1,\0\n", DataError, "holds NUL bytes or the byte order mark of UTF-16"),
        (
            "item_id,title\n1,Go\n".encode("utf-16"),
            DataError,
            "if it is UTF-16, convert the file with iconv -f UTF-16 -t UTF-8",
        ),
        ("sep=#\nid#title\n", ConfigError, "names a separator that is not read"),
        (
            gzip.compress(b"item_id,title\n1,a\n", mtime=0)[:-9],
            DataError,
            "gzip stream is cut short",
        ),
    ],
)
def test_unusable_items_files_are_refused(tmp_path, text, error, message):
    with pytest.raises(error) as caught:
        read_items(write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_columns_files_and_formats_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_items(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"no column 'x' \(--items-title-column\)"):
        read_items(write(tmp_path, "item_id\n1\n"), title="x")
    with pytest.raises(DataError, match="line 2: not a JSON object"):
        read_items(write(tmp_path, '{"id": 1}\n{\n', "a.jsonl"))
    with pytest.raises(ConfigError, match="cannot tell the format of the items"):
        read_items(write(tmp_path, "1 2 3\n", "a.txt"))


def test_floats_are_no_item_ids(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"item_id": [7.0]}), path)
    with pytest.raises(DataError, match="the item column holds floats"):
        read_items(path)

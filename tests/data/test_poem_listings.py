"""Plain text is read as a listing, as paragraphs or line by line."""

import pytest

from recsys.data.poem_listings import plain_text_poems

COUPLETS = ["秦川雄帝宅,函谷壯皇居", "綺殿千尋起,離宮百雉餘", "連甍遙接漢,飛觀迥凌虛"]


def paragraphs(text):
    return [each.paragraphs for each in plain_text_poems(text).poems]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(COUPLETS),
        "\n".join(f"{each}," for each in COUPLETS),
        "\n\n".join(COUPLETS),
        "\n".join(f'"{each}",' for each in COUPLETS),
        "\n".join(f"  u'{each}'," for each in COUPLETS),
        "\n".join(f"“{each}”" for each in COUPLETS),
        "couplets = [\n" + "\n".join(f"  '{each}'," for each in COUPLETS) + "\n]",
        'verses = ["' + '",\n"'.join(COUPLETS) + '"];',
    ],
)
def test_a_couplet_a_line_is_read_with_or_without_quotes_and_commas(text):
    assert paragraphs(text) == [(each,) for each in COUPLETS]


def test_code_around_a_listing_is_passed_over_and_counted():
    text = "import x\ncouplets = [\n" + "\n".join(f"'{each}'," for each in COUPLETS) + "\n]\n"
    listing = plain_text_poems(text)
    assert listing.layout == "listing, a poem a quoted line"
    assert listing.passed_over == ("3 lines of code around the quoted ones",)


def test_a_paragraph_is_a_poem_where_blank_lines_stand_between():
    text = "白日依山盡，黃河入海流。\n欲窮千里目，更上一層樓。\n  \n空山新雨後，天氣晚來秋。\n"
    listing = plain_text_poems(text)
    assert listing.layout == "plain text, a poem a paragraph"
    assert [len(each.paragraphs) for each in listing.poems] == [2, 1]
    assert {(each.title, each.author) for each in listing.poems} == {("", "")}


@pytest.mark.parametrize(
    "heading",
    [
        "登鸛雀樓 王之渙",
        "登鸛雀樓　王之渙",
        "登鸛雀樓·王之渙",
        "登鸛雀樓（王之渙）",
        "《登鸛雀樓》 王之渙",
        "《登鸛雀樓》王之渙",
        "王之渙《登鸛雀樓》",
        "# 登鸛雀樓 / 王之渙",
    ],
)
@pytest.mark.parametrize("stop", ["。", ""])
def test_a_line_of_title_and_author_is_found(heading, stop):
    lines = ["白日依山盡", "黃河入海流", "欲窮千里目", "更上一層樓"]
    poem = "\n".join(f"{each}{stop}" for each in lines)
    found = plain_text_poems(f"{heading}\n{poem}\n\n{heading}\n{poem}").poems[1]
    assert (found.title, found.author) == ("登鸛雀樓", "王之渙")
    assert found.paragraphs == tuple(f"{each}{stop}" for each in lines)


def test_a_title_may_stand_alone():
    found = plain_text_poems("靜夜思\n牀前明月光，疑是地上霜。\n\n空山新雨後。").poems[0]
    assert (found.title, found.author, len(found.paragraphs)) == ("靜夜思", "", 1)


def test_title_and_author_may_stand_in_two_lines():
    text = "登鸛雀樓\n王之渙\n白日依山盡，黃河入海流。\n\n空山新雨後，天氣晚來秋。"
    found = plain_text_poems(text).poems[0]
    assert (found.title, found.author) == ("登鸛雀樓", "王之渙")
    assert found.paragraphs == ("白日依山盡，黃河入海流。",)


def test_a_first_line_like_the_others_is_no_title():
    assert paragraphs("白日依山盡\n黃河入海流\n\n欲窮千里目\n更上一層樓")[0] == (
        "白日依山盡",
        "黃河入海流",
    )
    assert len(paragraphs("明月幾時有\n把酒問青天\n不知天上宮闕\n\n今夕是何年\n我")[1]) == 2
    assert len(paragraphs("人有悲歡離合\n月有陰晴圓缺此事古難全\n但願人長久\n\n千里")[0]) == 3
    assert len(paragraphs("She walks by night\nin beauty\n\nlike the\nsky")[0]) == 2


def test_titles_in_other_languages_name_their_author_after_by():
    text = "Ozymandias by Percy Bysshe Shelley\nI met a traveller\n\n# Fog\nThe fog comes"
    first, second = plain_text_poems(text).poems
    assert (first.title, first.author) == ("Ozymandias", "Percy Bysshe Shelley")
    assert first.paragraphs == ("I met a traveller",)
    assert (second.title, second.author) == ("Fog", "")


def test_one_poem_with_a_marked_title_needs_no_blank_line():
    (found,) = plain_text_poems("《靜夜思》李白\n牀前明月光\n疑是地上霜").poems
    assert (found.title, found.author, len(found.paragraphs)) == ("靜夜思", "李白", 2)


def test_empty_text_has_no_poem():
    assert plain_text_poems(" \n\n").poems == []


def test_a_file_of_one_poem_below_its_title_and_its_poet_is_one_poem():
    (poem,) = plain_text_poems("登鸛雀樓\n王之渙\n白日依山盡，黃河入海流。\n欲窮千里目。").poems
    assert (poem.title, poem.author, len(poem.paragraphs)) == ("登鸛雀樓", "王之渙", 2)
    book = "唐詩三百首\n蘅塘退士\n" + "\n".join(f"{each}。" for each in COUPLETS * 30)
    assert len(plain_text_poems(book).poems) == 92

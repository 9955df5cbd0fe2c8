"""A corpus of three themes with a character set each: what is alike is known."""

import numpy as np
import pytest

from recsys.data.poem_units import poem_events
from recsys.data.poems import Poem, poem_table
from recsys.errors import ArtefactError, ConfigError, DataError, UnknownIdError
from recsys.index.item_index import unit_vectors
from recsys.verse.finding import PoemNames
from recsys.verse.lookup import PoemLookup, histories_of
from recsys.verse.lookup_artefact import build_lookup, is_current, load_lookup
from recsys.verse.pairs import PairsConfig

THEMES = {
    "moon": "明月夜星光霜影秋桂露清寒",
    "war": "馬刀弓箭旗鼓塞沙將軍戰血",
    "garden": "花柳鶯蝶春園酒杯香紅綠枝",
}
AUTHORS = ("甲", "乙")


def themed_poems() -> list[Poem]:
    """Forty poems a theme, in turn by two authors, of four and of eight lines."""
    rng = np.random.default_rng(0)
    poems = []
    for theme, characters in THEMES.items():
        for number in range(40):
            lines = ["".join(rng.choice(list(characters), 5)) for _ in range(4 + 4 * (number % 3))]
            couplets = (f"{a}，{b}。" for a, b in zip(lines[::2], lines[1::2], strict=True))
            title = "同題" if number < 2 else f"{theme} {number}"
            author = AUTHORS[number % 2]
            poems.append(Poem(f"{theme}-{number}", title, author, tuple(couplets)))
    return poems


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    """Store, model and folder of the themed poems, with their look-up built."""
    from recsys.data.artefact import open_interactions, save_interactions
    from recsys.data.splits import SplitConfig, split_events
    from recsys.vae.artefact import load_model, open_model, save_model
    from recsys.vae.config import TrainingConfig, VAEConfig
    from recsys.vae.training import train

    root = tmp_path_factory.mktemp("poems")
    poems = themed_poems()
    events = poem_events(poems, "character")
    save_interactions(
        events,
        None,
        root / "interactions",
        user_table=poem_table(poems),
        config={"unit": "character"},
        metrics={},
    )
    store = open_interactions(root / "interactions")
    split = split_events(events, SplitConfig("strong", 10, 10))
    config = VAEConfig(values="binary", latent_dim=8, hidden_dim=16, encoder_layers=1, members=1)
    vae = train(split.train, config, TrainingConfig(epochs=10, batch_size=20))
    save_model(
        vae,
        split,
        root / "model",
        training={},
        metrics={},
        fingerprints={"events": store.fingerprint},
    )
    model = open_model(root / "model")
    vae = load_model(model)
    config = PairsConfig(dim=8, epochs=4, batch_size=20)
    build_lookup(vae, store, model, root / "lookup", config=config)
    return root, vae, store, model


@pytest.fixture(scope="module")
def lookup(artefacts) -> PoemLookup:
    root, vae, store, _ = artefacts
    return load_lookup(root / "lookup", vae, store)


def themes(found):
    return {each.poem.id.split("-")[0] for each in found}


@pytest.mark.parametrize("theme", THEMES)
def test_poems_of_the_same_theme_are_found(lookup, theme):
    found = lookup.similar_to_poem(lookup.names.find(f"{theme}-5"), 10)
    assert themes(found) == {theme}
    assert [each.rank for each in found] == list(range(1, 11))
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_a_poem_does_not_find_itself(lookup):
    found = lookup.similar_to_poem(lookup.names.find("moon-5"), 200)
    assert len(found) == 119
    assert "moon-5" not in {each.poem.id for each in found}


@pytest.mark.parametrize(
    "text", ["將軍塞沙血", "馬刀弓箭旗，鼓塞沙將軍。", "戰血，馬刀，弓箭，旗鼓。"]
)
def test_a_line_a_couplet_and_a_poem_find_their_theme(lookup, text):
    found = lookup.similar_to_text(text, 10)
    assert themes(found) == {"war"}
    assert len({each.poem.id for each in found}) == 10


def test_a_line_of_a_poem_finds_that_poem_first_with_that_line(lookup):
    poem = lookup.poems[lookup.names.find("garden-7")]
    for line in poem.lines:
        found = lookup.similar_to_text(line, 3)[0]
        assert sorted(set(found.line)) == sorted(set(line))
        assert found.score == pytest.approx(1, abs=1e-5)


def test_the_line_that_is_shown_is_the_closest(lookup):
    query = "明月夜清寒"
    vector = lookup.directions.of(histories_of([query], "character", lookup.items))[0]
    for each in lookup.similar_to_text(query, 20):
        lines = histories_of(each.poem.lines, "character", lookup.items)
        likeness = lookup.directions.of(lines) @ vector
        assert each.line == each.poem.lines[int(likeness.argmax())]


def test_the_order_by_whole_poems_is_that_of_brute_force(lookup):
    texts = [each.text for each in lookup.poems]
    vectors = lookup.directions.of(histories_of(texts, "character", lookup.items))
    position = lookup.names.find("war-9")
    likeness = vectors @ vectors[position]
    likeness[position] = -np.inf
    found = lookup.similar_to_poem(position, 15)
    assert [each.score for each in found] == pytest.approx(np.sort(likeness)[::-1][:15], abs=1e-5)


@pytest.mark.parametrize(
    "text", ["明月夜星光", "明月夜星光，霜影秋桂露。", "明月，夜星，光霜，影秋。"]
)
def test_filters_still_give_k(lookup, text):
    found = lookup.similar_to_text(text, 20, author="乙", form="5-jueju")
    assert len(found) == 20
    assert {(each.poem.author, each.poem.form) for each in found} == {("乙", "5-jueju")}


def test_fewer_come_back_only_where_fewer_exist(lookup):
    found = lookup.similar_to_text("明月夜星光", 500, form="5-lvshi")
    assert len(found) == sum(each.form == "5-lvshi" for each in lookup.poems)


def test_both_parts_have_their_share_of_the_similarity(lookup):
    histories = histories_of([each.text for each in lookup.poems[:9]], "character", lookup.items)
    vectors = lookup.directions.of(histories)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    codes = unit_vectors(lookup.directions.vae.encode(histories) - lookup.directions.centre)
    pairs = lookup.directions.pairs.encode(histories)
    from recsys.verse.directions import VAE_SHARE

    expected = VAE_SHARE * codes @ codes.T + (1 - VAE_SHARE) * pairs @ pairs.T
    assert vectors @ vectors.T == pytest.approx(expected, abs=1e-5)


def test_a_title_that_one_poem_has_is_enough(lookup):
    assert lookup.poems[lookup.names.find("moon 7")].id == "moon-7"


def test_a_title_of_several_poems_lists_them(lookup):
    with pytest.raises(ConfigError, match=r"6 poems are called '同題'; give the id of one: moon-0"):
        lookup.names.find("同題")


def test_an_unknown_title_names_the_nearest(lookup):
    with pytest.raises(UnknownIdError, match=r"no poem has the id or the title 'mooon 7'.*moon 7"):
        lookup.names.find("mooon 7")


@pytest.mark.parametrize("text", ["hello", "", "龘龘", "，。"])
def test_a_text_without_a_known_character_is_refused(lookup, text):
    with pytest.raises(DataError, match=r"holds no Chinese character that the model knows"):
        lookup.similar_to_text(text)


def test_unknown_characters_are_named(lookup):
    assert lookup.unknown_units("明龘月龘") == ["龘"]


def test_an_unknown_author_is_refused(lookup):
    with pytest.raises(UnknownIdError, match="no poem is by '丙'"):
        lookup.similar_to_text("明月", author="丙")


def test_filters_that_leave_nothing_are_refused(lookup):
    with pytest.raises(ConfigError, match="there is no other poem by 甲 of form 7-lvshi"):
        lookup.similar_to_text("明月", author="甲", form="7-lvshi")


def test_k_below_one_is_refused(lookup):
    with pytest.raises(ConfigError, match="k is 0, expected at least 1"):
        lookup.similar_to_text("明月", 0)


def test_a_look_up_belongs_to_its_model_and_its_poems(artefacts, tmp_path):
    root, _, store, model = artefacts
    assert is_current(root / "lookup", model, store)
    assert not is_current(root / "lookup", store.artefact, store)
    assert not is_current(tmp_path / "none", model, store)


def test_a_look_up_of_an_older_format_is_not_current(artefacts, monkeypatch):
    root, _, store, model = artefacts
    monkeypatch.setattr("recsys.verse.lookup_artefact.FORMAT_VERSION", 99)
    assert not is_current(root / "lookup", model, store)


def test_a_missing_look_up_names_the_command(artefacts, tmp_path):
    _, vae, store, _ = artefacts
    with pytest.raises(ArtefactError, match="there is no lookup at"):
        load_lookup(tmp_path / "none", vae, store)


def test_a_title_is_known_in_either_script():
    poems = [Poem("1", "入洞庭望岳陽", "", ("空山",)), Poem("2", "雲", "", ("山",))]
    names = PoemNames(poems)
    assert [names.find(each) for each in ("入洞庭望岳阳", "入洞庭望嶽陽", "云")] == [0, 0, 1]
    for unknown in ("风", "云\n", ""):
        with pytest.raises(UnknownIdError):
            names.find(unknown)

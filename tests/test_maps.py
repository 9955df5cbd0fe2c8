"""A map keeps what it is of: distances, straight lines, every text, and safe pages."""

import dataclasses
import html.parser
import json
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

from recsys.errors import ConfigError
from recsys.maps import (
    COLOURS,
    HAN_FONTS,
    MOST_COLOURS,
    Colouring,
    LatentMap,
    LatentPath,
    fonts_for,
    nearest_on_path,
    page,
    picture,
    project,
)
from recsys.vae.paths import decode_path, straight_path

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028 $x^$"


class Scripts(html.parser.HTMLParser):
    """Collects what each script element of a page holds."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: list[tuple[dict, str]] = []
        self.inside = False

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append((dict(attrs), ""))
        for name, value in attrs:
            assert name not in {"src", "srcset"}, value
            assert name != "href" or value.startswith("data:")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(50, 5)) * [9, 4, 0.1, 0.1, 0.1]).astype(np.float32)


@pytest.fixture
def shown(vectors):
    path = straight_path(vectors[0], vectors[1])
    return LatentMap(
        title="50 points",
        ids=[f"p{n}" for n in range(50)],
        labels=[HOSTILE] + [f"Point {n}" for n in range(1, 50)],
        details=[""] * 50,
        projection=project(vectors, "pca", seed=0),
        colouring=Colouring.of("parity", ["even", "odd"] * 25),
        path=LatentPath(("a", "b"), (0, 1), path, tuple((f"top {n}",) for n in range(7))),
    )


def embedded(text):
    parser = Scripts()
    parser.feed(text)
    (data, _code) = parser.scripts
    assert data[0]["type"] == "application/json"
    return json.loads(data[1])


def test_principal_components_are_those_of_the_singular_value_decomposition(vectors):
    found = project(vectors, "pca", seed=0)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.points), np.abs(left * values)[:, :2], atol=1e-4)
    share = (values[:2] ** 2).sum() / (values**2).sum()
    assert found.explained == pytest.approx(share, rel=1e-5)


def test_a_straight_path_stays_straight_on_the_map(vectors):
    found = project(vectors, "pca", seed=0)
    steps = np.diff(found.place(straight_path(vectors[3], vectors[8])), axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-4)
    np.testing.assert_allclose(found.place(vectors[[3]]), found.points[[3]], atol=1e-4)


def test_too_few_points_are_refused(vectors):
    with pytest.raises(ConfigError, match="2 points to map, expected at least 3"):
        project(vectors[:2], "pca", seed=0)


def test_umap_says_what_to_install(vectors, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"pip install 'recsys-vae\[umap\]'"):
        project(vectors, "umap", seed=0)


def test_a_picture_says_what_to_install(shown, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'recsys-vae\[map\]'"):
        picture(shown)


def test_rare_groups_share_a_colour():
    values = [f"group {n}" for n in range(MOST_COLOURS + 3) for _ in range(40 - n)]
    found = Colouring.of("group", values)
    assert found.names == (*(f"group {n}" for n in range(MOST_COLOURS)), "other")
    assert len(found.colours) == len(found.names) == len(set(found.colours))
    assert len(COLOURS) == MOST_COLOURS
    assert (found.groups == MOST_COLOURS).sum() == sum(40 - n for n in (12, 13, 14))
    assert Colouring.of("form", ["other", "other", "5-jueju"]).names == ("5-jueju", "other")


def test_what_is_decoded_at_a_point_is_what_is_likelier_there_than_usual(trained):
    codes = np.random.default_rng(0).normal(size=(40, trained.latent_dim)).astype(np.float32)
    rows = trained.item_vectors().astype(np.float64)

    def shares(code):
        scores = np.exp(np.array([*code, 1.0]) @ rows.T)
        return scores / scores.sum()

    first, _ = decode_path(trained, codes[:2], list(trained.items.ids), codes, n=5)
    here, usual = shares(codes[0]), np.mean([shares(code) for code in codes], axis=0)
    worth = here * np.log(here / usual)
    assert list(first) == list(trained.items.ids[np.argsort(-worth)[:5]])


def test_a_path_between_items_begins_and_ends_with_them(recommender):
    directions = recommender.index.item_directions.vectors
    names = list(recommender.items.ids)
    told = nearest_on_path(directions, straight_path(directions[0], directions[9]), names, n=3)
    assert len(told) == 7
    assert (told[0][0], told[-1][0]) == (names[0], names[9])


def test_equally_frequent_groups_keep_the_order_they_are_given():
    values = ["c", "c", "a", "b", "d", "d", "d"]
    assert Colouring.of("group", values).names == ("d", "c", "a", "b")
    assert Colouring.of("group", values, equals=["b", "a", "c", "d"]).names == ("d", "c", "b", "a")


def test_a_path_begins_and_ends_in_its_points_whatever_the_projection(shown):
    class Estimating:
        """As UMAP's, which places its own points elsewhere."""

        def transform(self, vectors):
            return vectors[:, :2] + 0.5

    projection = dataclasses.replace(shown.projection, method="umap", reducer=Estimating())
    path = dataclasses.replace(shown.path, positions=(3, 8))
    places = dataclasses.replace(shown, projection=projection).places(path)
    np.testing.assert_array_equal(places[[0, -1]], projection.points[[3, 8]])
    np.testing.assert_array_equal(places[1:-1], path.vectors[1:-1, :2] + 0.5)


@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
def test_umap_lays_points_out_alike_every_time(vectors):
    pytest.importorskip("umap", reason="the extra `umap` is not installed")
    first, second = (project(vectors, "umap", seed=7) for _ in range(2))
    assert (first.points.shape, first.points.dtype) == ((50, 2), np.float64)
    np.testing.assert_array_equal(first.points, second.points)
    assert np.isfinite(first.place(vectors[:3])).all()


def test_a_page_holds_every_point_where_it_is(shown):
    data = embedded(page(shown))
    assert data["ids"] == shown.ids
    assert [data["names"][group] for group in data["group"]] == ["even", "odd"] * 25
    grid = np.array([data["x"], data["y"]], dtype=np.float64).T
    points = shown.projection.points
    ratio = (grid[7] - grid[3]) / (points[7] - points[3])
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-3)
    assert grid.min() == 0
    assert grid.max() == 65535
    assert data["path"]["decoded"][0] == ["top 0"]
    np.testing.assert_allclose(data["path"]["points"][0], grid[0], atol=2)


def test_no_title_breaks_out_of_a_page(shown):
    text = page(shown)
    assert "alert(1)</script>" not in text
    assert embedded(text)["labels"][0] == HOSTILE


def test_a_page_asks_nobody_for_anything(shown):
    text = page(shown)
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text


def test_a_page_never_reads_text_as_markup(shown):
    text = page(shown)
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in text


@pytest.mark.slow
@pytest.mark.parametrize("window", ["1200,800", "390,844"])
def test_a_page_is_painted_when_it_is_loaded_and_waits_for_no_frame(shown, tmp_path, window):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium is installed")
    image = pytest.importorskip("PIL.Image", reason="the extra `map` is not installed")
    frameless = "<head><script>window.requestAnimationFrame = () => 0</script>"
    text = page(shown).replace("<head>", frameless, 1)
    (tmp_path / "map.html").write_text(text, encoding="utf-8")
    subprocess.run(
        [
            *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            f"--window-size={window}",
            *(f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={tmp_path / 'map.png'}"),
            (tmp_path / "map.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with image.open(tmp_path / "map.png") as screenshot:
        width, height = screenshot.size
        # Of the stage: no header, no legend, no button.
        stage = screenshot.convert("RGB").crop((0, 110, min(width, 880), min(height, 480)))
        assert len(stage.getcolors(stage.width * stage.height)) > 20


def test_a_picture_is_a_png_and_the_same_each_time(shown):
    pytest.importorskip("matplotlib", reason="the extra `map` is not installed")
    shown = dataclasses.replace(shown, title="Dollars $x^$ are text")
    first, second = picture(shown), picture(shown)
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", first[16:24]) == (1650, 1200)
    assert first == second


def test_chinese_characters_are_drawn_in_every_place(shown):
    manager = pytest.importorskip("matplotlib.font_manager", reason="no extra `map` here")
    if not {each.name for each in manager.fontManager.ttflist} & set(HAN_FONTS):
        pytest.skip("no font with Chinese characters is installed")
    path = dataclasses.replace(shown.path, ends=("靜夜思", "相思"), decoded=(("月", "風"),) * 7)
    colouring = Colouring.of("詩人", ["李白", "王維"] * 25)
    # A character without a glyph is a warning, and here warnings are errors.
    assert picture(dataclasses.replace(shown, title="五十首", path=path, colouring=colouring))


def test_characters_that_no_font_has_are_never_drawn_as_boxes(monkeypatch):
    pytest.importorskip("matplotlib", reason="the extra `map` is not installed")
    monkeypatch.setattr("recsys.maps.HAN_FONTS", ())
    assert fonts_for("latin, even λ") == ["DejaVu Sans"]
    with pytest.raises(ConfigError, match=r"'山明月': install .* apt install fonts-noto-cjk"):
        fonts_for("明月山 and latin")

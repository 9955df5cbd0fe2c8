"""The explorer page in a real browser: each of its flows, and no console error."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_service import Service

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def address(workspace, tmp_path_factory) -> Iterator[str]:
    """Where the sample is served, by a process of its own."""
    copy = Path(shutil.copytree(workspace, tmp_path_factory.mktemp("page") / "workspace"))
    service = Service(copy)
    yield f"http://127.0.0.1:{service.port}/"
    service.stop()
    service._reader.join(30)
    service.process.stderr.close()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        installed = next(filter(None, map(shutil.which, NAMES)), None)
        path = installed or driver.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no browser: install the package chromium, or run playwright install")
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(params=["light-1280", "dark-390"])
def page(request, browser, address):
    """The page, opened; a console error or an exception in it fails the test."""
    theme, width = request.param.split("-")
    context = browser.new_context(viewport={"width": int(width), "height": 800}, color_scheme=theme)
    page = context.new_page()
    complaints = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda asked: complaints.append(asked.url))
    page.goto(address)
    page.wait_for_selector("#list li")
    yield page
    assert complaints == []
    context.close()


def titles(page):
    return page.locator("#list .what > a").all_inner_texts()


def changed(page, before):
    """Wait for another list; give it."""
    page.wait_for_function(
        "before => [...document.querySelectorAll('#list .what > a')]"
        ".map(each => each.innerText).join() !== before",
        arg=",".join(before),
    )
    return titles(page)


def liked(page, n=2):
    """Compose a history of the first suggestions, by keyboard alone."""
    for _ in range(n):
        before = titles(page)
        page.focus("#liked")
        page.keyboard.type("the")
        page.wait_for_selector("#liked-list li")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        changed(page, before)


def test_it_begins_with_what_is_popular(page, recommender):
    assert page.inner_text("#list-title") == "Popular with everybody"
    assert len(titles(page)) == 10
    assert f"{len(recommender.items):,} items" in page.inner_text("#served")


def test_a_user_is_picked_by_keyboard_and_gets_reasons(page, recommender):
    user = str(recommender.users.ids[3])
    before = titles(page)
    page.focus("#user")
    page.keyboard.type(user)
    page.wait_for_selector("#user-list li")
    page.keyboard.press("Enter")
    found = changed(page, before)
    (expected,) = recommender.recommend([user], k=10)
    assert found == [each.title for each in expected.items]
    assert page.inner_text("#list-title") == f"For user {user}"
    assert page.locator("#list .why").first.inner_text().startswith("because of ")
    page.wait_for_selector("#history .quiet")
    assert page.inner_text("#history .quiet").startswith("liked ")


def test_a_history_is_composed_by_titles(page):
    liked(page)
    assert page.locator("#history .chip").count() == 2
    assert page.inner_text("#list-title") == "For somebody who liked these"
    before = titles(page)
    page.locator("#history .chip button").first.click()
    changed(page, before)
    assert page.locator("#history .chip").count() == 1


def test_the_dials_change_the_list(page):
    liked(page)
    page.evaluate("document.getElementById('rules').open = true")
    before = titles(page)
    page.focus("#popularity")
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    less_popular = changed(page, before)
    assert page.inner_text("#popularity-value") == "less, −2.0"
    page.focus("#diversity")
    for _ in range(14):
        page.keyboard.press("ArrowRight")
    changed(page, less_popular)
    assert page.inner_text("#diversity-value") == "0.70"
    page.click("#reset")
    page.wait_for_function(
        "() => document.getElementById('list-title').innerText === 'Popular with everybody'"
    )


def test_a_rule_leaves_only_what_passes_and_a_bad_one_is_told(page, recommender):
    page.evaluate("document.getElementById('rules').open = true")
    before = titles(page)
    page.fill("#where", "genre = 'Detective'")
    page.keyboard.press("Enter")
    found = changed(page, before)
    table = recommender.store.item_table.set_index("title")
    assert set(table.loc[found, "genre"]) == {"Detective"}
    page.fill("#where", "")
    page.keyboard.press("Enter")
    changed(page, found)


def test_an_item_is_left_out_by_a_click_and_let_in_again(page):
    before = titles(page)
    page.get_by_role("button", name=f"Not this: {before[0]}", exact=True).click()
    found = changed(page, before)
    assert before[0] not in found
    page.get_by_role("button", name=f"Allow {before[0]}", exact=True).click()
    assert changed(page, found) == before


def test_by_keyboard_one_item_after_another_is_left_out(page):
    before = titles(page)
    page.get_by_role("button", name=f"Not this: {before[1]}", exact=True).focus()
    page.keyboard.press("Enter")
    found = changed(page, before)
    assert page.evaluate("document.activeElement.ariaLabel") == f"Not this: {found[1]}"


def test_enter_takes_what_is_typed_and_not_what_was_found_before(page, recommender):
    title = recommender.store.item_table["title"].iloc[40]
    before = titles(page)
    page.focus("#liked")
    page.wait_for_selector("#liked-list li")
    page.keyboard.insert_text(title)
    page.keyboard.press("Enter")
    changed(page, before)
    assert page.locator("#history .chip span").all_inner_texts() == [title]


def test_what_was_liked_stays_when_a_user_is_picked(page, recommender):
    liked(page, 1)
    before = titles(page)
    page.focus("#user")
    page.keyboard.insert_text(str(recommender.users.ids[3]))
    page.keyboard.press("Enter")
    changed(page, before)
    assert page.inner_text("#list-title").endswith(", had they liked these too")
    assert page.locator("#history .chip").count() == 1


def test_a_percent_sign_by_itself_is_one(page):
    assert page.evaluate("[decoded('100%'), decoded('a%2Fb')]") == ["100%", "a/b"]


def test_an_item_has_a_page_with_its_neighbours(page):
    title = titles(page)[0]
    page.locator("#list .what > a").first.click()
    page.wait_for_selector("#latent a")
    assert page.inner_text("#item-title") == title
    assert page.locator("#latent li").count() == 12
    assert "no item-item path" in page.inner_text("#sparse")  # a VAE alone
    page.locator("#latent a").first.click()
    page.wait_for_function(
        "before => document.getElementById('item-title').innerText !== before", arg=title
    )
    page.click("#item-like")
    page.wait_for_selector("#history .chip")


def test_the_map_is_searched_zoomed_and_opened(page, recommender):
    title = titles(page)[0]
    page.click("nav a[data-view=map]")
    page.wait_for_selector("#legend li")
    assert f"{len(recommender.items):,} items" in page.inner_text("#map-note")
    page.fill("#map-search", title)
    page.wait_for_function("() => document.getElementById('map-found').innerText === '1 found'")
    page.click("#zoom-in")
    page.click("#zoom-reset")
    page.locator("#legend button").first.click()
    assert page.locator("#legend button[aria-pressed=true]").count() == 1
    page.locator("#legend button").first.click()
    place = page.evaluate(
        """title => {
            const point = state.map.points.find(each => each.title === title);
            const { size, left, top } = frame();
            return { x: left + point.x * size, y: top + (1 - point.y) * size };
        }""",
        title,
    )
    page.hover("#canvas", position=place)
    page.wait_for_selector("#tip:not([hidden])")
    page.focus("#canvas")
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    page.click("#zoom-reset")
    page.click("#canvas", position=place)
    page.wait_for_selector("#item:not([hidden])")


def test_the_theme_is_chosen_and_kept(page):
    assert page.inner_text("#theme") == "Theme: auto"
    page.click("#theme")
    page.click("#theme")
    assert page.inner_text("#theme") == "Theme: dark"
    page.reload()
    page.wait_for_selector("#list li")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_nothing_is_wider_than_the_window(page):
    for view in ("#/", "#/map"):
        page.evaluate("view => { location.hash = view; }", view)
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), view


def test_every_field_and_button_has_a_name(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('input, select, button, canvas')].filter(each =>
            !(each.labels && each.labels.length) && !each.getAttribute('aria-label')
            && !each.innerText.trim() && !each.textContent.trim()).map(each => each.outerHTML)"""
    )
    assert nameless == []


SIMILAR = {
    "query": "x",
    "items": [
        {
            "poem": "p1",
            "rank": 1,
            "score": 0.9,
            "title": "春曉",
            "author": "孟浩然",
            "line": "春眠不覺曉",
        }
    ],
}
NEAREST = {
    "line": "春眠不覺曉",
    "poem": "p1",
    "title": "春曉",
    "author": "孟浩然",
    "closeness": 0.5,
}
WRITTEN = {
    "unknown": [],
    "poems": [
        {
            "poem": 1,
            "rhyme": "支",
            "score": 2.5,
            "lines": [
                {"line": "連門秋歲晚", "tones": "平平平仄仄", "rhymes": False, "nearest": NEAREST},
                {"line": "蕭索別離時", "tones": "平仄仄兩平", "rhymes": True, "nearest": None},
            ],
        }
    ],
}


def test_poems_are_found_and_written(page, address):
    """The page alone: what it shows of answers as tests/serving/test_poems.py gets them."""
    ready = json.loads(page.evaluate("fetch('readyz').then(each => each.text())"))
    for path, answer in (
        ("readyz", ready | {"poems": True, "verse": True}),
        ("poems/similar", SIMILAR),
        ("poems/generate", WRITTEN),
    ):
        body = json.dumps(answer)
        page.route(
            f"**/{path}",
            lambda route, _, body=body: route.fulfill(body=body, content_type="application/json"),
        )
    page.goto(f"{address}#/poems")
    page.reload()
    page.wait_for_selector("#poems:not([hidden])")
    page.fill("#line", "春眠不觉晓")
    page.keyboard.press("Enter")
    page.wait_for_selector("#similar-list li")
    assert "孟浩然: 春曉" in page.inner_text("#similar-list")
    page.fill("#about", "秋 雨")
    page.click("#write button")
    page.wait_for_selector(".poem")
    verse = page.locator(".poem .verse").first
    assert (
        verse.evaluate("each => [...each.querySelectorAll('rt')].map(x => x.innerText).join('')")
        == "平平平仄仄"
    )
    assert "rhyme 支" in page.inner_text(".poem")

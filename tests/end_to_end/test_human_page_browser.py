"""The page for people in a real browser: keys, what is kept, what is downloaded, and no script."""

import json

import pytest
from commands import call
from made_answers import generated

EVIL = '</script><script>window.hit = 1</script><img src=x onerror="window.hit = 1"><b>bold</b>'


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    generated(folder, "alpha", {"1": EVIL, "2": "a2", "3": "long " * 800}, asked=f"{EVIL} {{}}")
    generated(folder, "beta", {"1": "b1", "2": "b2", "3": "b3"}, asked=f"{EVIL} {{}}")
    call("judge", folder, "--judge-by", "human")
    return folder


def test_a_person_judges_and_sends_back_a_file(chromium, judged):
    path = judged / "judge__models__human.html"
    context = chromium.new_context(accept_downloads=True)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    shown = []
    for number in (1, 5):
        shown.append(page.locator("#a").text_content())
        page.keyboard.press(str(number))
    assert "2 of 3 judged" in page.locator("#said").text_content()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#a").text_content() == shown[1]
    chosen = page.locator('[data-verdict][aria-pressed="true"]')
    assert chosen.get_attribute("data-verdict") == "B>>A"
    page.keyboard.press("ArrowRight")
    page.reload()
    assert page.locator("#place").text_content() == "Prompt, pair 3 of 3", "it is where it was"
    page.locator('[data-verdict="A=B"]').click()
    assert "All judged" in page.locator("#said").text_content()
    page.locator("#save").click()
    assert "Your name first" in page.locator("#said").text_content()
    page.locator("#rater").fill("ann 1")
    with page.expect_download() as caught:
        page.locator("#save").click()
    assert caught.value.suggested_filename == "verdicts-ann-1.json"
    file = judged / "ann.json"
    caught.value.save_as(file)
    assert page.evaluate("window.hit") is None
    assert page.locator("b, img").count() == 0, "what a model wrote is text"
    assert said == []
    assert {url for url in asked if not url.startswith("blob:")} == {path.as_uri()}
    context.close()
    assert sorted(json.loads(file.read_text())["verdicts"].values()) == ["A=B", "A>>B", "B>>A"]
    assert "human-ann-1" in call("judge", judged, "--verdicts", file).stdout


@pytest.mark.parametrize(
    "look",
    [
        {"viewport": {"width": 360, "height": 700}, "color_scheme": "dark"},
        {"viewport": {"width": 1200, "height": 800}, "color_scheme": "light"},
    ],
)
def test_it_fits_a_phone_and_both_schemes(chromium, judged, look):
    context = chromium.new_context(**look)
    page = context.new_page()
    page.goto((judged / "judge__models__human.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= look["viewport"]["width"]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 24, 29)" if look["color_scheme"] == "dark" else "rgb(255, 255, 255)")
    for button in page.locator("button").all():
        box = button.bounding_box()
        assert box["height"] >= 44
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= look["viewport"]["width"]
    sides = [page.locator(f"#{name}").bounding_box() for name in "ab"]
    stacked = sides[0]["x"] == sides[1]["x"]
    assert stacked == (look["viewport"]["width"] < 700)
    context.close()

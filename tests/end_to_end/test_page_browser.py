"""The page in a real browser: drawn, picked from, hovered over, zoomed, read and printed."""

import json
import re
from contextlib import contextmanager
from itertools import pairwise

import pytest
from odd_study import HOSTILE, NAME
from opened_page import (
    as_wide,
    domain_of,
    opened,
    opened_details,
    picked,
    rows_of,
    table_of,
    tables_of,
)

from mdlm_probe.analysis import frames
from mdlm_probe.analysis.chart_style import CATEGORIES, DARK, MODELS
from mdlm_probe.core import catalog
from mdlm_probe.probes.locality import report as locality
from mdlm_probe.reports.html import page_template

ACCURACY, HEAT = "locality-locality-main", "needle-needle-gain"
ABSENT = {"locality-masks", "masks-context", "blocks-lengths", "context-share"}
ABSENT |= {"decay-predictability"}
"""What the study has no rows for: one number of masks, one context, one length; too few tasks."""


@pytest.fixture(scope="module")
def page(chromium, page_file):
    """The page for those who look, and leave it as it was: what is picked is for one of its own."""
    with opened(chromium, page_file) as page:
        yield page


@pytest.fixture(scope="module")
def small(chromium, small_page):
    """The small page for those who pick and zoom, and set it back."""
    with opened(chromium, small_page) as page:
        yield page


def test_every_figure_is_drawn(page):
    panels = page.eval_on_selector_all(
        ".panel",
        """panels => panels.map(p => {
          const svg = p.querySelector("svg.marks");
          const box = svg.getBoundingClientRect();
          const marks = svg.querySelectorAll(".role-mark path[d]:not([d=''])").length;
          return [box.width, box.height, marks];
        })""",
    )
    figures = page.eval_on_selector_all("figure.chart", "all => all.map(f => f.id)")
    declared = {
        f"{name}-{chart.slug}"
        for name in catalog.names("report")
        for chart in catalog.charts(name).CHARTS
    }
    assert declared >= ABSENT
    # after the run's name
    assert sorted(figure.partition("-")[2] for figure in figures) == sorted(declared - ABSENT)
    assert len(panels) >= len(figures)
    for width, height, marks in panels:
        assert width > 200
        assert height > 150
        assert marks >= 1


def test_models_are_picked_in_charts_tables_and_examples(small):
    assert {row["model"] for row in rows_of(small, ACCURACY)} == {"tiny-mdlm", "tiny-arlm"}
    assert small.locator('#summary li[data-model="tiny-arlm"]:visible').count()
    drawn = small.locator(f"#{ACCURACY} .mark-symbol path").count()
    small.locator("#models input[value=tiny-arlm]").uncheck()
    picked(small)
    assert {row["model"] for row in rows_of(small, ACCURACY)} == {"tiny-mdlm"}
    assert 0 < small.locator(f"#{ACCURACY} .mark-symbol path").count() < drawn
    assert {row[0] for row in table_of(small, ACCURACY)} == {"tiny-mdlm"}
    assert small.locator("tr[data-model=tiny-arlm]:visible").count() == 0
    assert small.locator("#summary li[data-model=tiny-arlm]:visible").count() == 0
    offered = small.eval_on_selector_all("[data-pick=model] option", "all => all.map(o => o.value)")
    assert "tiny-mdlm" in offered
    assert "tiny-arlm" not in offered
    small.locator("#models input[value=tiny-mdlm]").uncheck()
    picked(small)
    assert small.locator(f"#{ACCURACY} .nothing").is_visible()
    assert small.locator(f"#{ACCURACY} .panel:visible").count() == 0
    for model in ("tiny-mdlm", "tiny-arlm"):
        small.locator(f"#models input[value={model}]").check()
        picked(small)
    assert small.locator(f"#{ACCURACY} .mark-symbol path").count() == drawn


def test_a_task_is_picked(small, small_page):
    frame = frames.frames(small_page.parent / "locality")[0]["locality"]
    own = frame[frame["set"] == "verb-smallest"]
    expected = locality.accuracy(own)
    before = table_of(small, ACCURACY)
    select = small.locator("#locality-locality-task")
    select.select_option("verb-smallest")
    picked(small)
    found = {(r["model"], r["question"], r["x"]): r["y"] for r in rows_of(small, ACCURACY)}
    after = table_of(small, ACCURACY)
    assert found == {
        (r.model, r.question, r.position): pytest.approx(100 * r.accuracy, rel=1e-5)
        for r in expected.itertuples()
    }
    assert len(after) == len(expected)
    assert after != before
    select.select_option("")
    picked(small)
    assert table_of(small, ACCURACY) == before  # Python and JavaScript write numbers alike


def test_every_table_is_written_alike_by_python_and_javascript(page):
    figures = page.eval_on_selector_all("figure.chart", "all => all.map(f => f.id)")
    before = tables_of(page)
    page.evaluate("charts.forEach(chart => chart.fill(models()))")
    assert tables_of(page) == before
    assert sorted(before) == sorted(figures)
    assert all(before.values())


def test_hovering_says_what_the_table_says(page):
    point = page.locator(f"#{ACCURACY} .mark-symbol path[aria-label]").nth(1)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip = page.locator("#tip")
    tip.wait_for(state="visible")
    said = tip.locator("dd").all_text_contents()
    heads = page.locator(f"#{ACCURACY} thead th").all_text_contents()
    assert tip.locator("dt").all_text_contents() == heads
    assert said in table_of(page, ACCURACY)
    page.mouse.move(2, 2)
    tip.wait_for(state="hidden")


def test_a_heat_map_is_zoomed_and_moved(small):
    whole = domain_of(small, HEAT, "x")
    group = small.locator(f"#{HEAT} .zoom")
    group.get_by_role("button", name="Zoom in").click()
    middle, reach = sum(whole) / 2, (whole[1] - whole[0]) / 4
    assert domain_of(small, HEAT, "x") == pytest.approx([middle - reach, middle + reach])
    group.get_by_role("button", name="Reset").click()
    assert domain_of(small, HEAT, "x") == whole
    place = small.locator(f"#{HEAT} .mark-rect").first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    small.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    small.mouse.wheel(0, 120)  # scrolls the page, as everywhere
    small.wait_for_timeout(100)
    assert domain_of(small, HEAT, "x") == whole
    box = place.bounding_box()
    small.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    small.keyboard.down("Control")
    small.mouse.wheel(0, -200)
    small.keyboard.up("Control")
    small.wait_for_function(
        "([id, x]) => charts.find(c => c.figure.id === id).views[0].scale('x').domain()[0] > x",
        arg=[HEAT, whole[0]],
    )
    before = domain_of(small, HEAT, "x")
    small.mouse.down()
    small.mouse.move(box["x"] + box["width"] / 2 + 40, box["y"] + box["height"] / 2, steps=4)
    small.mouse.up()
    after = domain_of(small, HEAT, "x")
    assert after[0] < before[0]
    assert after[1] - after[0] == pytest.approx(before[1] - before[0])
    small.mouse.move(2, 2)
    group.get_by_role("button", name="Reset").click()
    assert domain_of(small, HEAT, "x") == whole


def test_examples_show_prompts_answers_and_differences(page):
    found = page.evaluate("DATA.sections['shift-shift'].examples")
    with unfolded_examples(page, "shift-shift"):
        place = page.locator("#shift-shift .example")
        marked = 0
        for example in found:
            changed = [part for part in example["parts"] if part["kind"] == "difference"]
            for kind, tag in (("new", "ins"), ("gone", "del")):
                pieces = [text for part in changed for k, text in part["pieces"] if k == kind]
                assert place.locator(tag).all_text_contents() == pieces
                marked += len(pieces)
            page.locator("#shift-shift [data-step='1']").click()
        assert marked > 0
        said = page.locator("#shift-shift .at").text_content()
        assert said.startswith(f"1 of {len(found)}: tiny-mdlm, ")


@contextmanager
def unfolded_examples(page, section, at=0):
    """The examples of a section, of which the one `at` a place is shown; as before in the end."""
    step = "#{} [data-step='{}']"
    page.locator(f"#{section} details.examples summary").first.click()
    for _ in range(at):
        page.locator(step.format(section, 1)).click()
    yield
    for _ in range(at):
        page.locator(step.format(section, -1)).click()
    page.locator(f"#{section} details.examples summary").first.click()


def filling_of(page):
    """The section of the first example with a canvas, its place there, and the canvas's places."""
    return page.evaluate(
        """() => {
          for (const [id, section] of Object.entries(DATA.sections))
            for (const [at, one] of section.examples.entries())
              for (const part of one.parts)
                if (part.kind === "canvas") return [id, at, part.places];
        }"""
    )


def test_the_slider_shows_the_canvas_of_a_step(page):
    section, at, places = filling_of(page)
    page.emulate_media(reduced_motion="reduce")
    with unfolded_examples(page, section, at):
        canvas = page.locator(f"#{section} .canvas")
        slider = page.locator(f"#{section} .filling input")
        last = max(step for step, _ in places)
        assert last > 1
        for step in (0, 1, last // 2, last):
            slider.fill(str(step))
            shown = canvas.locator(".place").all_text_contents()
            assert shown == [text if 0 < at <= step else "▁" for at, text in places]
            assert canvas.locator(".now").count() == sum(at == step > 0 for at, _ in places)
        slider.focus()
        page.keyboard.press("ArrowLeft")
        assert slider.input_value() == str(last - 1)
        slider.fill("0")
        page.locator(f"#{section} .filling button").click()  # no motion is wanted: at once
        assert slider.input_value() == str(last)
    page.emulate_media(reduced_motion="no-preference")


CONTRAST = """() => {
  const number = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const middle = (box) => [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const rgb = number(getComputedStyle(e).backgroundColor);
      if (rgb.length === 3 || rgb[3] > 0) return rgb;
    }
  };
  const under = (element) => {
    const cells = [...(element.closest("svg")?.querySelectorAll(".mark-rect path") ?? [])];
    const [x, y] = middle(element.getBoundingClientRect());
    const cell = cells.find((one) => {
      const box = one.getBoundingClientRect();
      return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
    });
    return cell ? number(getComputedStyle(cell).fill) : ground(element);
  };
  const found = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    if (element.closest("script, style, noscript")) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(number(ink)), light(under(element))].sort((x, y) => y - x);
    const name = `${element.tagName}.${element.className.baseVal ?? element.className}`;
    found[name] = Math.min(found[name] ?? 99, (a + 0.05) / (b + 0.05));
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(page, scheme):
    page.emulate_media(color_scheme=scheme)
    with opened_details(page):
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        found = page.evaluate(CONTRAST)
    page.emulate_media(color_scheme="light")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert {"H1.", "P.masks", "TD.n", "text.", "INS.", "DEL.", "A."} <= found.keys()
    assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}


def test_the_button_turns_light_and_dark(chromium, small_page):
    with opened(chromium, small_page, color_scheme="dark") as page:
        button, ground = page.locator("#theme"), "getComputedStyle(document.body).backgroundColor"
        lines = f"[...document.querySelectorAll('#{ACCURACY} .mark-line path')]"
        lines += ".map(line => getComputedStyle(line).stroke)"
        dark, dark_lines = page.evaluate(ground), page.evaluate(lines)
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert page.evaluate(ground) == "rgb(255, 255, 255)" != dark
        assert page.evaluate(lines) != dark_lines


def navigated(page):
    """Follows links of the navigation, which stays in sight and covers no title."""
    page.emulate_media(reduced_motion="reduce")
    for name in ("Summary", "cache"):
        page.locator("nav a", has_text=re.compile(f"^{name}$")).click()
        nav = page.locator("nav").bounding_box()
        title = page.locator("section:target h2").bounding_box()
        assert nav["y"] == 0
        assert nav["height"] < 60
        assert nav["height"] <= title["y"] < 150
    page.evaluate("location.hash = ''")  # where Tab begins, too
    page.emulate_media(reduced_motion="no-preference")


def test_the_navigation_stays_and_covers_no_title(page):
    navigated(page)


def test_every_section_fits_a_narrow_window(page):
    with as_wide(page, 390):
        navigated(page)
        with opened_details(page):
            fits(page, 390)
    assert max(page.eval_on_selector_all("svg.marks", RIGHT)) > 1000, "as wide as before"


RIGHT = "all => all.map(s => s.getBoundingClientRect().right)"


def fits(page, width):
    """Nothing but tables in their boxes is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert max(page.eval_on_selector_all("svg.marks", RIGHT)) <= width


def test_a_phone_scrolls_down_only(chromium, small_page):
    phone = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    with opened(chromium, small_page, **phone) as page:
        page.evaluate("document.querySelectorAll('details').forEach(d => (d.open = true))")
        fits(page, 390)
        point = page.locator(f"#{ACCURACY} .mark-symbol path[aria-label]").nth(1)
        point.scroll_into_view_if_needed()
        point.tap(force=True)
        box = page.locator("#tip").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_a_table_says_when_it_is_wider_than_the_page(small):
    """On a phone many are, and on a wide screen those of long lines alone."""
    say = """boxes => boxes.filter(
      b => b.checkVisibility({ contentVisibilityAuto: true })
    ).map(b => [
      b.scrollWidth > b.clientWidth + 1,
      b.hasAttribute("data-wide"),
      getComputedStyle(b.querySelector("caption"), "::after").content.includes("scroll"),
    ])"""
    counts = []
    for width in (1200, 400):
        with as_wide(small, width):
            found = small.eval_on_selector_all(".box", say)
        assert all(wide == marked == said for wide, marked, said in found)
        counts.append(sum(wide for wide, _, _ in found))
    assert 0 < counts[0] < counts[1]


def test_print_opens_everything_in_light(small):
    small.emulate_media(color_scheme="dark")
    before = small.viewport_size
    count = small.locator("details").count()
    long = small.locator("details[data-long]").count()
    assert 0 < long < count / 4
    assert small.locator("details[open]").count() < count
    small.emulate_media(media="print", color_scheme="dark")
    closed = "document.querySelectorAll('details:not([open])').length"
    small.wait_for_function(f"{closed} === {long}")
    background = "getComputedStyle(document.body).getPropertyValue('--ground')"
    assert small.evaluate(background).strip() == "#ffffff"
    small.set_viewport_size({"width": 700, "height": 1000})  # as wide as a sheet, about
    assert small.evaluate("document.documentElement.scrollWidth") <= 700
    for control in ("#theme", "#models", ".zoom", "select", ".picker"):
        assert small.locator(f"{control}:visible").count() == 0
    assert small.locator("svg.marks:visible").count() == small.locator(".panel:visible").count()
    small.set_viewport_size(before)
    small.emulate_media(media="screen", color_scheme="light")
    small.wait_for_function(f"{closed} > {long}")
    assert small.locator("details[open]").count() < count


def test_names_for_those_who_do_not_see_it(page):
    words = page.eval_on_selector_all(
        ".drawing[role=img]", "all => all.map(s => s.getAttribute('aria-label'))"
    )
    drawings = page.locator(".drawing").count()
    said = page.locator("body").aria_snapshot()
    levels = page.eval_on_selector_all(
        "h1, h2, h3, h4", "all => all.map(h => Number(h.tagName[1]))"
    )
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("img:not([alt])").count() == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert len(words) == drawings
    assert all(re.search(r"Across: .*Up: .*\d", label) for label in words)
    nameless = re.findall(
        r"- (?:button|combobox|slider|checkbox|figure|table|img)(?=:|$)", said, re.M
    )
    assert nameless == []
    assert 'figure "Accuracy by position of the relevant examples"' in said
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_texts_of_others_stay_texts(page):
    assert page.title() == f"{NAME} - mdlm-probe report"
    assert page.locator("h1").text_content() == NAME
    assert HOSTILE in page.locator("section pre").last.text_content()
    assert f"no <b>{HOSTILE}" in page.locator("#states + ul").text_content()


def test_lines_can_be_seen_on_both_grounds():
    def light(colour):
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    style = (page_template.HERE / "page.css").read_text()
    grounds = re.findall(r"--ground: (#\w+)", style)
    assert len(set(grounds)) == 2  # light; dark twice, by the system's choice and by the button's
    dark = [DARK.get(colour, colour) for colour in (*MODELS, *CATEGORIES)]
    assert len(set(dark)) == len(dark)
    for colour in dark:
        assert (light(colour) + 0.05) / (light(grounds[1]) + 0.05) >= 3, colour


# ---------------------------------------------------------------------- as a file


def test_the_page_is_small_and_self_contained(page_file):
    text = page_file.read_text(encoding="utf-8")
    assert len(text.encode()) < 4.8e6
    for element in ("<link", '<img src="http', "<script src", "@import", "url("):
        assert element not in text.partition("<script")[0]
    assert "default-src 'none'" in text


def test_no_text_of_a_model_ends_a_script(page_file):
    text = page_file.read_text(encoding="utf-8")
    assert HOSTILE not in text
    begin = text.index('id="data">') + len('id="data">')
    data = json.loads(text[begin : text.index("</script>", begin)])
    assert set(data) == {"models", "sections"}
    assert len(data["sections"]) == len(catalog.names("report"))

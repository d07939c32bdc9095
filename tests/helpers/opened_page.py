"""The page as a browser shows it, and what the browser says of it."""

import json
from contextlib import contextmanager

DRAWN = 'html[data-drawn="yes"]'


@contextmanager
def opened(browser, path, **look):
    """The drawn page; in the end there must be no word on the console, and no request."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **look})
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(DRAWN, timeout=60_000)
    try:
        yield page
        assert said == []
        assert asked == [path.as_uri()]
    finally:
        context.close()


@contextmanager
def opened_details(page):
    """All that is folded, unfolded for as long as this lasts."""
    page.evaluate(
        """() => {
          window.unfolded = [...document.querySelectorAll("details:not([open])")];
          window.unfolded.forEach((each) => (each.open = true));
        }"""
    )
    try:
        yield
    finally:
        page.evaluate("window.unfolded.forEach((each) => (each.open = false))")


@contextmanager
def as_wide(page, width):
    """The page in a window of another width, its charts drawn anew for it, for as long."""
    before = page.viewport_size
    _resize(page, before | {"width": width})
    try:
        yield
    finally:
        _resize(page, before)


def _resize(page, size):
    page.set_viewport_size(size)
    page.evaluate(
        """async () => {
          for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
          for (const view of charts.flatMap((chart) => chart.views)) await view.runAsync();
        }"""
    )


def picked(page):
    """Waits until the page shows what is picked."""
    page.wait_for_selector('html[data-picked="yes"]')


def table_of(page, figure):
    """The cells of a figure's table that are shown."""
    return tables_of(page, f"#{figure}")[figure]


def tables_of(page, figures="figure.chart"):
    """Those of several figures, by id."""
    found = page.eval_on_selector_all(  # as one text: playwright takes long for each cell
        figures,
        """all => JSON.stringify(Object.fromEntries(all.map(figure => [
          figure.id,
          [...figure.querySelectorAll("details.numbers tbody tr")]
            .filter(row => !row.hidden).map(row => [...row.cells].map(c => c.textContent)),
        ])))""",
    )
    return json.loads(found)


def rows_of(page, figure):
    """The rows that the views of a figure's panels hold."""
    return page.evaluate(
        """id => charts.find(c => c.figure.id === id).views.flatMap(v => v.data("rows"))""", figure
    )


def domain_of(page, figure, axis):
    """Both ends of an axis of a figure's first panel."""
    return page.evaluate(
        "([id, axis]) => charts.find(c => c.figure.id === id).views[0].scale(axis).domain()",
        [figure, axis],
    )

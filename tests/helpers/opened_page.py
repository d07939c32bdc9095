"""The page as a browser shows it, and what the browser says of it."""

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


def picked(page):
    """Waits until the page shows what is picked."""
    page.wait_for_selector('html[data-picked="yes"]')


def table_of(page, figure):
    """The cells of a figure's table that are shown."""
    return page.eval_on_selector_all(
        f"#{figure} details.numbers tbody tr",
        "rows => rows.filter(r => !r.hidden).map(r => [...r.cells].map(c => c.textContent))",
    )


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

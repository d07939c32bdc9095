"""Templates of others: sandboxed, and stopped at limits."""

import resource
import sys

import jinja2
import pytest

from mdlm_probe.core import templates
from mdlm_probe.core.templates import ImmutableSandbox, Sandbox


@pytest.fixture
def strict(monkeypatch):
    monkeypatch.setattr(templates, "LONGEST", 1000)


DOUBLED = "{% set n = namespace(s='a' * 999) %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}"
ENDLESS = "{% for a in r %}" * 3 + "{% endfor %}" * 3
TWICE = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENDLESS, "longer than 0.2 s"),
        (TWICE + "{{ f(100) }}", "longer than 0.2 s"),
        ("{% for a in r %}ab{% endfor %}", "more than 1000 characters"),
        ("{{ 'ab' * 501 }}", "more than 1000 characters"),
        ("{{ 'a' * 10 ** 12 }}", "more than 1024 MiB"),
        ("{{ 'a' | center(10 ** 12) }}", "more than 1024 MiB"),
        ("{{ '%0999999999999d' % 1 }}", "more than 1024 MiB"),
        (DOUBLED + "{% endfor %}", "more than 1024 MiB|longer than"),
        ("{{ 9 ** 99999999 }}", "a number of thousands of digits"),
        ("{{ 1.5 | round(999999999, 'ceil') }}", "rounds to 1e.09 digits"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{" + "(" * 9999 + "1" + ")" * 9999 + "}}", "RecursionError"),
        ("{% include 'x' %}", "no loader"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ [1] + 'a' }}", "TypeError"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ x.y }}", "'x' is undefined"),
        ("{% for %}", "Expected an expression"),
    ],
)
@pytest.mark.parametrize("environment", [Sandbox, ImmutableSandbox])
def test_whatever_goes_wrong_is_the_templates_own_error(
    strict, monkeypatch, environment, text, message
):
    if "longer than" in message:  # on a busy machine others might take as long
        monkeypatch.setattr(templates, "SECONDS", 0.2)
    before = sys.gettrace(), resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(jinja2.TemplateError, match=message):
        environment().from_string(text).render(r=list(range(99999)))
    assert (sys.gettrace(), resource.getrlimit(resource.RLIMIT_AS)) == before


def test_good_templates_are_rendered_as_jinja_does(strict):
    text = "{% for m in messages %}{{ m.role | upper }}: {{ m.text | trim }}\n{% endfor %}"
    text += "{{ 2.46 | round(1) }}"
    said = {"messages": [{"role": "user", "text": f" {n} "} for n in range(20)]}
    assert Sandbox().from_string(text).render(said) == jinja2.Template(text).render(said)


def test_only_the_mutable_sandbox_lets_lists_change():
    text = "{% set _ = some.append(2) %}{{ some }}"
    assert Sandbox().from_string(text).render(some=[1]) == "[1, 2]"
    with pytest.raises(jinja2.TemplateError):
        ImmutableSandbox().from_string(text).render(some=[1])

"""What stands beside the code says the same as the code."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import yaml
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mdlm_probe.core.version import __version__

ROOT = Path(__file__).parent.parent.parent
TARGETS = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_version_stands_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == __version__
    assert f"version = {{{__version__}}}" in (ROOT / "README.md").read_text()
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_workflows_call_targets_that_there_are():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert {"lint", "quick", "test", "wheel"} == set(jobs)
    called = re.findall(r"run: make (\w+)", text)
    assert called
    assert set(called) <= set(TARGETS)
    for name in ("bug.yml", "measure.yml"):
        form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text())
        assert {"name", "description", "body"} <= set(form)


def test_hooks_are_the_tools_of_lint():
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    makefile = (ROOT / "Makefile").read_text()
    for hook in local["hooks"]:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert f"$(BIN)/{tool}" in makefile


def pinned():
    """Names of all packages that constraints.txt has a version of."""
    text = (ROOT / "constraints.txt").read_text()
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}


def test_extras_are_in_the_development_environment():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {one for name, parts in extras.items() if name != "dev" for one in parts}
    assert wanted <= set(extras["dev"])
    for one in (*project["dependencies"], *wanted):
        name = canonicalize_name(re.match(r"[\w.-]+", one)[0])
        assert name in pinned(), name


def test_all_that_is_installed_is_for_the_oldest_python_that_may_be_used():
    """Distributions stay at an early patch release: Debian 12 has 3.11.2."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=") + ".0"
    said = {
        canonicalize_name(one.name): one.metadata["Requires-Python"] or ""
        for one in metadata.distributions()
    }
    asked = said.keys() & pinned()
    assert len(asked) > 0.9 * len(pinned())
    assert [name for name in asked if not SpecifierSet(said[name]).contains(oldest)] == []

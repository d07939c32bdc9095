"""The page's script is bundled once, kept whole, and made again where what is kept is damaged."""

import pytest
import vl_convert

from mdlm_probe.reports.html import vega_bundle

SCRIPT = "const text = 'ä';\n" * 9


@pytest.fixture
def made(tmp_path, monkeypatch):
    """How often the script was made, in a cache of its own."""
    found = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda: found.append(1) or SCRIPT)
    return found


def bundled():
    """The script, as another process would find it."""
    return vega_bundle.bundle.__wrapped__()


def test_it_is_made_once(made):
    assert [bundled(), bundled()] == [SCRIPT] * 2
    assert len(made) == 1
    assert [path.name for path in vega_bundle.kept_at().parent.iterdir()] == [
        vega_bundle.kept_at().name
    ]


@pytest.mark.parametrize("damaged", [b"", b"x", None])
def test_what_is_damaged_is_made_again(made, damaged):
    bundled()
    path = vega_bundle.kept_at()
    path.write_bytes(path.read_bytes()[:-1] if damaged is None else damaged)
    assert [bundled(), bundled()] == [SCRIPT] * 2
    assert len(made) == 2


def test_a_cache_that_cannot_be_written_stops_nothing(made, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    assert [bundled(), bundled()] == [SCRIPT] * 2
    assert len(made) == 2


def test_a_user_without_a_home_keeps_nothing(made, monkeypatch):
    def homeless(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(vega_bundle.Path, "expanduser", homeless)
    assert bundled() == SCRIPT


def test_another_version_is_another_file(made, monkeypatch):
    bundled()
    monkeypatch.setattr(vega_bundle, "version", lambda name: "99")
    assert bundled() == SCRIPT
    assert len(made) == 2

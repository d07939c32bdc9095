"""The page of a study, as the tests of the page read it: the committed one, with odd texts."""

import json

import reference

from mdlm_probe.reports import html

HOSTILE = "</script><script>document.title = 'taken'</script>"
NAME = "small & <odd>"


def make(folder):
    """A copy of the committed study with its page; a text is hostile, and a run has failed."""
    reference.study(folder)
    path = folder / "study.json"
    study = json.loads(path.read_text())
    failed = {"probe": "shift", "status": "failed", "error": f"no <b>{HOSTILE}", "models": []}
    study["runs"]["too-large"] = failed | {"seconds": 1.0}
    path.write_text(json.dumps(study | {"study": NAME, "source": f"# {HOSTILE}\n"}))
    text = html.page(folder, html.read(folder))
    (folder / "report.html").write_text(text, encoding="utf-8")

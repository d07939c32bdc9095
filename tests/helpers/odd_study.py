"""The page of a study, as the tests of the page read it: the committed one, with odd texts."""

import json
import shutil
from unittest import mock

import reference

from mdlm_probe.analysis.observed import values
from mdlm_probe.reports import html
from mdlm_probe.reports.html import probe_sections

HOSTILE = "</script><script>document.title = 'taken'</script>"
NAME = "small & <odd>"


def make(folder, *runs):
    """A copy of the committed study with its page; a text is hostile, and a run has failed.

    Of the bundled models, and of the oracle in one run: in all it would be twice as large. Of some
    runs, with every task to pick; or of all, with two tasks of each: the tables of each task would
    take as long as all the rest.
    """
    reference.study(folder)
    for path in folder.glob("*/run.json"):
        if runs and path.parent.name not in runs:
            shutil.rmtree(path.parent)
            continue
        models = ["tiny-mdlm", "tiny-arlm", *(["oracle"] if path.parent.name == "decay" else [])]
        shutil.rmtree(path.parent)
        reference.run(path.parent, path.parent.name, *models)
    path = folder / "study.json"
    study = json.loads(path.read_text())
    if runs:
        study["runs"] = {name: one for name, one in study["runs"].items() if name in runs}
    failed = {"probe": "shift", "status": "failed", "error": f"no <b>{HOSTILE}", "models": []}
    study["runs"]["too-large"] = failed | {"seconds": 1.0}
    path.write_text(json.dumps(study | {"study": NAME, "source": f"# {HOSTILE}\n"}))
    found = html.read(folder)
    few = None if runs else 2
    with mock.patch.object(probe_sections, "values", lambda *of: values(*of)[:few]):
        text = html.page(folder, found)
    (folder / "report.html").write_text(text, encoding="utf-8")

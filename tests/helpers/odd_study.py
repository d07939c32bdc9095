"""The page of a study, as the tests of the page read it: the committed one, with odd texts."""

import json
import shutil

import reference

from mdlm_probe.reports import html

HOSTILE = "</script><script>document.title = 'taken'</script>"
NAME = "small & <odd>"


def make(folder, *runs):
    """A copy of the committed study with its page; a text is hostile, and a run has failed.

    Of the bundled models, and of the oracle in one run: in all it would be twice as large. Of some
    runs, or of all.
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
    text = html.page(folder, html.read(folder))
    (folder / "report.html").write_text(text, encoding="utf-8")

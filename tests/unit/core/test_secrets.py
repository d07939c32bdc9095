"""Keys and passwords never stay in a text."""

import json

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import write_study
from mdlm_probe.core.secrets import redacted, secrets_of
from mdlm_probe.reports.html import page
from mdlm_probe.runs.judges import Access
from mdlm_probe.runs.study_plan import Study, StudyRun
from mdlm_probe.runs.study_record import FAILED, StudyRecord

SOURCE = """
runs:
  judge: {endpoint: "https://me:pass-word@host:8000/v1?api_key=sk-12345&model=x"}
"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:word@host/v1", "http://***@host/v1"),
        ("at https://token@host: refused", "at https://***@host: refused"),
        ("http://a:b@c@host/", "http://***@host/"),
        ("https://host/v1?api-key=abc&x=1", "https://host/v1?api-key=***&x=1"),
        ("https://host/?x=1&access_token=abc", "https://host/?x=1&access_token=***"),
        ("mail me@host, 1 & 2 = 3; http://host/a@b?x=1", None),
        ("the model said http://host/v1", None),
    ],
)
def test_urls_lose_what_lets_people_in(text, shown):
    assert redacted(text) == (shown or text)
    assert str(ProbeError(text, hint=text)) == "\nhint: ".join([shown or text] * 2)


def test_every_spelling_of_a_secret_is_one():
    found = secrets_of("http://me:p%40ss@host/v1?key=query", "sk-1234")
    assert {"sk-1234", "p%40ss", "p@ss", "query", "bWU6cEBzcw=="} <= set(found)
    assert list(found) == sorted(found, key=len, reverse=True)
    assert secrets_of("http://host/v1", "abc") == (), "too short to be told from text"


@pytest.mark.parametrize("url", ["http://me:pass/word@host/v1", "me:pass@host", "http://u:pw@h:x"])
def test_a_url_that_is_none_is_shown_without_its_password(url):
    with pytest.raises(ProbeError, match="--endpoint has") as error:
        Access(url)
    assert "pass" not in str(error.value)
    assert "pw" not in str(error.value)


def test_studies_keep_no_password(tmp_path):
    part = StudyRun("judge", "judge", ())
    record = StudyRecord(tmp_path, Study("mine", SOURCE, (part,)), [part])
    record.add(part, "jury", FAILED, "no answer from http://me:pass-word@host", 1.0)
    kept = (tmp_path / "study.json").read_text()
    assert "pass-word" not in kept
    assert "sk-12345" not in kept
    assert "***@host:8000/v1" in json.loads(kept)["source"]


def test_pages_of_older_studies_show_none(tmp_path):
    error = "no answer from http://me:pass-word@host"
    runs = {"judge": {"status": "failed", "error": error}}
    write_study(tmp_path, {"study": "mine", "source": SOURCE, "runs": runs})
    (tmp_path / "run.json").write_text("{}")
    text = page(tmp_path, [])
    assert "host:8000" in text
    assert "pass-word" not in text
    assert "sk-12345" not in text

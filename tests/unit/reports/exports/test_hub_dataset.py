"""A run's folder on the Hub, as a data set: what goes there, and every way in which it can't."""

import json

import fake_hub
import pytest
import reference
from commands import call
from huggingface_hub import DatasetCard

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports.exports import ExportRequest, export, hub_push

pytestmark = pytest.mark.usefixtures("reports_once")

REPO = "me/rows"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = reference.run(tmp_path_factory.mktemp("run") / "locality", "locality", "tiny-mdlm")
    (folder / "notes.txt").write_text("mine alone")
    (folder / "locality.png").write_bytes(b"picture")
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with fake_hub.served(monkeypatch, tmp_path) as found:
        yield found


def pushed(folder, **more):
    return export(folder, ["datapackage"], ExportRequest(push_dataset=REPO, **more))


@pytest.mark.slow
def test_a_private_repository_gets_rows_columns_and_a_card(run, hub):
    said = pushed(run)
    files = hub.files(REPO)
    assert hub.repos[REPO]["private"]
    assert said[-1] == f"pushed {len(files)} files to {hub.url}/datasets/{REPO}"
    rows = "locality__tiny-mdlm.csv"
    assert files[rows] == (run / rows).read_bytes()
    assert files["datapackage.json"] == (run / "datapackage.json").read_bytes()
    assert files["locality.png"] == b"picture"
    assert json.loads(files["run.json"]) == json.loads((run / "run.json").read_text())
    assert set(files) == {rows, "datapackage.json", "locality.png", "run.json", "README.md"}
    card = DatasetCard(files["README.md"].decode())
    (config,) = card.data.to_dict()["configs"]
    assert config == {"config_name": "locality", "data_files": [rows]}
    assert f'load_dataset("{REPO}", "locality"' in card.text
    assert "locality index" in card.text
    n = len((run / rows).read_text().splitlines()) - 1
    assert f"| {n} | finished |" in " ".join(card.text.split())


@pytest.mark.slow
def test_a_study_goes_there_run_by_run(hub, tmp_path):
    for name in ("locality", "needle"):
        reference.run(tmp_path / "study" / name, name, "tiny-mdlm")
    (tmp_path / "study" / "study.json").write_text(
        json.dumps({"study": "s", "source": "judge: http://me:secret@host/v1\n", "runs": {}})
    )
    pushed(tmp_path / "study")
    files = hub.files(REPO)
    assert "needle/needle__tiny-mdlm.csv" in files
    assert b"secret" not in files["study.json"]
    names = [one["config_name"] for one in card_of(hub)["configs"]]
    assert names == ["locality-locality", "needle-needle"]


def card_of(hub):
    return DatasetCard(hub.files(REPO)["README.md"].decode()).data.to_dict()


@pytest.mark.slow
def test_what_others_wrote_stays_and_a_second_push_replaces_our_section(run, hub):
    theirs = {"config_name": "mine", "data_files": ["mine.csv"]}
    old = f"---\nlicense: mit\ntags: [a]\nconfigs: {json.dumps([theirs])}\n---\n# Mine\n"
    hub.add(REPO, private=True, files={"README.md": old.encode(), "mine.csv": b"x"})
    pushed(run)
    pushed(run)
    head, text = card_of(hub), hub.files(REPO)["README.md"].decode()
    assert head["license"] == "mit"
    assert head["tags"][0] == "a"
    assert [one["config_name"] for one in head["configs"]] == ["mine", "locality"]
    assert text.count(hub_push.BEGIN) == text.count("# Mine") == 1
    assert hub.files(REPO)["mine.csv"] == b"x"


def test_a_public_repository_is_refused_unless_asked_for(run, hub):
    hub.add(REPO, private=False)
    with pytest.raises(ProbeError, match="is on the Hub already, and public") as error:
        pushed(run)
    assert "--public" in error.value.expected
    assert not hub.files(REPO)
    pushed(run, public=True)
    assert hub.files(REPO)


def test_public_makes_a_public_one(run, hub):
    pushed(run, public=True)
    assert not hub.repos[REPO]["private"]


def test_without_a_token_nothing_is_asked(run, monkeypatch, tmp_path):
    with fake_hub.served(monkeypatch, tmp_path, token="") as hub:
        with pytest.raises(ProbeError, match="there is no token") as error:
            pushed(run)
        assert "HF_TOKEN" in error.value.hint
        assert not hub.asked


@pytest.mark.parametrize("broken", ["/whoami-v2", "/commit/main", "/create"])
def test_the_hubs_refusal_is_an_error_without_the_token(run, hub, broken):
    hub.broken = broken
    if broken == "/whoami-v2":  # which nobody needs here
        pushed(run)
        return
    with pytest.raises(ProbeError) as error:
        pushed(run)
    assert error.value.option == "push-dataset"
    assert fake_hub.TOKEN not in str(error.value)
    assert "the same command pushes again" in error.value.hint


def test_a_wrong_token_is_an_error_that_does_not_say_it(run, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    with pytest.raises(ProbeError, match="--push-dataset me/rows failed: ") as error:
        pushed(run)
    assert "hf_wrong" not in str(error.value)
    assert not hub.repos


def test_without_a_network_the_folder_stays_and_the_error_says_so(run, monkeypatch, tmp_path):
    with fake_hub.served(monkeypatch, tmp_path) as hub:
        closed = hub.url
    fake_hub.pointed_at(closed, monkeypatch, tmp_path)
    with pytest.raises(ProbeError, match="--push-dataset me/rows failed") as error:
        pushed(run)
    assert "the Hub within reach" in error.value.expected
    assert (run / "datapackage.json").exists()


def test_the_command_says_where_it_went_and_pushes_nothing_unasked(run, hub):
    call("export", run, "--to", "datapackage")
    assert not hub.asked
    said = call("export", run, "--to", "datapackage", "--push-dataset", REPO).output
    assert f"{hub.url}/datasets/{REPO}" in said
    assert fake_hub.TOKEN not in said


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--to", "csv", "--push-dataset", REPO), "--push-dataset pushes the folder with it"),
        (("--to", "datapackage", "--public"), "--public is about a data set on the Hub"),
    ],
)
def test_options_that_mean_nothing_are_refused(run, words, found):
    assert found in call("export", run, *words, code=None).output


@pytest.mark.slow
def test_nothing_else_of_the_folder_goes_there(hub, tmp_path):
    folder = reference.run(tmp_path / "run", "locality", "oracle", "oracle-biased")
    (folder / ".locks").mkdir(exist_ok=True)
    (folder / "export").mkdir()
    (folder / "export" / "secret.csv").write_text("x")
    (folder / "locality__old.csv").write_text("not in run.json")
    pushed(folder)
    assert set(hub.files(REPO)) == {
        *("run.json", "README.md", "datapackage.json"),
        *("locality__oracle.csv", "locality__oracle-biased.csv"),
    }

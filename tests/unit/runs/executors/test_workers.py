"""What workers take of machines, and what they say of errors; none is started here."""

import pickle
import sys

import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError, Refusal, TooLong
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.runs.executors import InProcess, executor_of, on_ray
from mdlm_probe.runs.executors.contract import EngineRequest
from mdlm_probe.runs.executors.on_ray import Needs, RayExecutor, needed
from mdlm_probe.runs.executors.ray_cluster import Cluster, share
from mdlm_probe.runs.executors.worker import Setting, Worker, portable_error


@pytest.mark.parametrize(
    ("amounts", "workers", "each"),
    [
        *(([8], 2, 4), ([8], 3, 2), ([8], 9, 0), ([], 1, 0), ([8, 8], 2, 8), ([8, 8], 3, 4)),
        *(([8, 4], 3, 4), ([1, 1, 1], 3, 1), ([7, 3], 2, 3), ([7, 3], 1, 7)),
    ],
)
def test_shares_are_the_largest_that_all_find_room_for(amounts, workers, each):
    assert share(amounts, workers) == each


class Machines:
    """A cluster as far as its amounts go."""

    local = False

    def __init__(self, cpu, gpu):
        self.of = {"CPU": cpu, "GPU": gpu}

    def amounts(self, resource):
        return self.of[resource]


@pytest.mark.parametrize(
    ("machines", "load", "workers", "needs"),
    [
        (Machines([16], [0]), {}, 4, Needs(0, 4, 4)),
        (Machines([2], [0]), {}, 8, Needs(0, 0, 1)),
        (Machines([64, 64], [8, 8]), {}, 16, Needs(1, 0, 8)),
        (Machines([64, 64], [8, 8]), {"device": "cuda"}, 4, Needs(1, 0, 32)),
        (Machines([64, 64], [8, 8]), {"device_map": "auto"}, 4, Needs(4, 0, 32)),
        (Machines([64, 64], [8, 8]), {"device": "cpu"}, 4, Needs(0, 32, 32)),
    ],
)
def test_a_worker_has_a_card_or_a_share_of_the_cores(monkeypatch, machines, load, workers, needs):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert needed(machines, LoadOptions(**load), workers) == needs


def test_threads_are_those_that_the_user_set(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert needed(Machines([16], [0]), LoadOptions(), 2).threads == 1  # as the suite has


@pytest.mark.parametrize(
    ("machines", "device", "said"),
    [
        (Machines([64], [8]), "auto", "the cluster has 8 cards; --workers asks for 9"),
        (Machines([64], [0]), "cuda", "the cluster has 0 cards; --workers asks for 9"),
        (Machines([64], [8]), "cuda:1", "every worker has a card of its own"),
    ],
)
def test_too_few_cards_are_an_error_not_a_wait(machines, device, said):
    with pytest.raises(ProbeError, match=said) as refused:
        needed(machines, LoadOptions(device=device), 9)
    assert "workers" in refused.value.options


@pytest.mark.parametrize(
    "error",
    [
        ProbeError("found", expected="expected", hint="hint", option=("a", "b")),
        TooLong("found", reason="too long", hint="hint"),
    ],
)
def test_errors_travel(error):
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)


def test_refusals_travel():
    there = pickle.loads(pickle.dumps(Refusal.of("why", "limit")))
    assert (there, there.options) == ("why", ("limit",))


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def test_an_error_that_can_not_travel_is_told():
    error = ProbeError("found")
    error.__cause__ = Unpicklable("inner", 2)
    assert portable_error(error) is error
    assert (error.__cause__, error.__traceback__) == (None, None)
    said = portable_error(Unpicklable("one", 2))
    assert (type(said), str(said)) == (RuntimeError, "Unpicklable: one")


def failing(engine, group):
    raise ProbeError(f"{group} of {engine.entry.name}")


def whole(engine, group):
    return len(group)


@pytest.fixture
def worker(tmp_path):
    return Worker(Setting(on_ray.__version__, ".", False, 1, 0))


def test_a_worker_answers_with_values_and_errors(worker):
    entry = models.resolve("tiny-mdlm")
    request = EngineRequest(entry, LoadOptions(), batch={"tokens": 64}, gradients=True)
    assert worker.load(request).notes == (
        "loading tiny-mdlm from mdlm_probe/models/tiny/tiny-mdlm",
    )
    opened = worker.open(request).value
    assert opened.batch["tokens"] == 64
    assert {"held", "gradients"} <= opened.batch.keys(), "others are given them"
    assert opened.worker["device"] == "cpu"
    assert worker.result(whole, "abc").value.found == 3
    reply = worker.result(failing, "abc")
    assert (reply.value, str(reply.error)) == (None, "abc of tiny-mdlm")
    assert worker.result(whole, "ab").value.found == 2


def test_a_worker_of_another_version_says_so():
    reply = Worker(Setting("0.0", ".", False, 1, 0)).hello()
    assert f"mdlm-probe {on_ray.__version__} on" in str(reply.error)
    assert "expected: 0.0 on every machine" in str(reply.error)


@pytest.mark.parametrize("workers", [0, 1])
def test_one_worker_is_this_process(workers):
    with executor_of(workers) as executor:
        assert isinstance(executor, InProcess)


def test_ray_is_not_begun_before_a_model_is_wanted():
    with executor_of(2) as executor:
        assert isinstance(executor, RayExecutor)
    with executor_of(0, "auto") as executor:
        assert isinstance(executor, RayExecutor)


def test_without_ray_the_error_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ProbeError, match=r"pip install 'mdlm-probe\[ray\]'"):
        Cluster("")


@pytest.mark.parametrize("address", ["here", "ray://here:1", "here:port", ":1"])
def test_an_address_that_is_none(address):
    with pytest.raises(ProbeError, match=f"--ray-address is '{address}'"):
        Cluster(address)

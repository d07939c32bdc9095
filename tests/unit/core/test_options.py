"""What options say of themselves, and the checks of what is given for them."""

from typing import Annotated

import pytest

from mdlm_probe.cli.completions import OFFERS
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import (
    AMOUNT,
    UNCOMPARED,
    Traits,
    check_least,
    check_once,
    check_positive,
    check_range,
    fitting,
    traits_of,
)

Shared = Annotated[str, "a file", Traits("suites", material=True)]


def test_traits_stand_beside_the_help():
    def plan(
        *,
        suite: Shared = "x",
        limit: Annotated[int, "how many", AMOUNT] = 1,
        seed: Annotated[int, "of all"] = 0,
        memory: Annotated[int | None, "MiB", UNCOMPARED] = None,
    ) -> list[int]:
        return []

    assert traits_of(plan) == {
        "suite": Traits("suites", material=True),
        "limit": Traits(amount=True),
        "seed": Traits(),
        "memory": Traits(uncompared=True),
    }


@pytest.mark.parametrize("name", catalog.names("probe"))
def test_a_probes_traits_are_of_its_options(name):
    found = catalog.traits(name)
    assert any(traits.material for traits in found.values())
    assert any(traits.amount for traits in found.values())
    assert {traits.offers for traits in found.values()} <= {"", *OFFERS}


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_least(1, ig_steps=0), "--ig-steps has 0\nexpected: 1 or more"),
        (lambda: check_least(0, shots=3, masks=(0, -1, -2)), "--masks has -2\nexpected: 0 or"),
        (lambda: check_least(0, temperature=float("inf")), "--temperature has inf"),
        (lambda: check_least(0, target_se=float("nan")), "--target-se has nan"),
        (lambda: check_positive(top=0), "--top has 0\nexpected: 1 or more"),
        (lambda: check_positive(eps=0.0), "--eps has 0\nexpected: more than 0"),
        (lambda: check_positive(eps=float("inf")), "--eps has inf"),
        (lambda: check_range(0, 1, "a share", "or so", frac=(0.5, 1.5)), "--frac has 1.5\nexp.*"),
        (lambda: check_once(tasks=("a", "a")), "--tasks names a value twice"),
        (lambda: check_once(x_y=(1, 1)), "--x-y names a value twice"),
        (lambda: fitting("block", (9,), (1, 2), 8, "max_length"), "at most 8, as --max-length le"),
        (lambda: fitting("block", (0,), (1, 2), 8, "length"), "--block has 0"),
        (lambda: fitting("block", (3, 3), (1, 2), 8, "length"), "--block names a value twice"),
    ],
)
def test_numbers_and_lists_are_checked_by_the_options_name(check, message):
    with pytest.raises(ProbeError, match=message) as error:
        check()
    assert error.value.option


def test_what_is_right_passes():
    check_least(0, masks=(0, 1), seed=0, temperature=0.5)
    check_positive(top=1, eps=1e-9)
    check_range(0, 1, "a share", frac=(0.0, 1.0), other=0)
    check_once(tasks=("a", "b"), none=())


def test_numbers_of_an_option_are_given_or_the_usual_that_fit():
    assert fitting("block", (4, 2), (1,), 8, "length") == [2, 4]
    assert fitting("block", (), (1, 2, 4, 8, 16), 8, "length") == [1, 2, 4, 8]


def test_numbers_that_no_machine_counts_with_are_refused():
    check_least(1, limit=2**62)
    for huge in (2**63, 10**400):
        with pytest.raises(ProbeError, match="--limit has"):
            check_least(1, limit=huge)

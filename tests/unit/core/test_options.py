"""What options say of themselves, and the checks of what is given for them."""

from typing import Annotated

import pytest

from mdlm_probe.cli.completions import OFFERS
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import AMOUNT, UNCOMPARED, Traits, check_least, check_once, traits_of

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


def test_numbers_and_lists_are_checked_by_the_options_name():
    check_least(0, masks=(0, 1))
    with pytest.raises(ProbeError, match=r"--ig-steps has 0\nexpected: 1 or more"):
        check_least(1, limit=2, ig_steps=0)
    with pytest.raises(ProbeError, match="--masks has -1"):
        check_least(0, masks=(0, -1))
    with pytest.raises(ProbeError, match="--tasks names a value twice"):
        check_once(tasks=("a", "a"))

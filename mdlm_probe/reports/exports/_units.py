"""The units of the reports' columns."""

from __future__ import annotations

COMMON = {
    **dict.fromkeys(("appended", "mask_tokens", "answer_tokens", "scorer_tokens"), "tokens"),
    **dict.fromkeys(("entropy", "mi", "js", "nats", "loss", "logp", "gain", "span"), "nats"),
    **dict.fromkeys(("points", "from_start"), "points"),
}
"""Units that a column has wherever it stands. Shares, probabilities and counts have none."""

OWN = {
    "masks": {
        table: dict.fromkeys(("accuracy", "p_right"), "points") for table in ("changes", "controls")
    },
    "shift": {
        "unintervened": {
            **dict.fromkeys(("ended", "correct"), "%"),
            "tokens": "tokens",
            "nats": "nats by token",
        },
        "harm": {
            **dict.fromkeys(("realised", "edit", "differ"), "%"),
            "nats": "nats by token",
            "correct": "points",
        },
        "compounding": {
            **dict.fromkeys(("realised", "control"), "%"),
            **dict.fromkeys(("edit", "correct"), "points"),
            "nats": "nats by token",
        },
        "trend": {"nats": "nats by token and %", "edit": "points by %"},
        "cascade": dict.fromkeys(("parted_8", "parted_32"), "%"),
        "moves": dict.fromkeys(
            ("blocked", "to_right", "to_left", "refilled", "doubled", "visible"), "%"
        ),
    },
    "cache": {
        table: dict.fromkeys(("dlogp", "dlogp_mean", "dlogp_max"), "nats")
        for table in ("error", "since")
    },
    "joint": {
        "orders": dict.fromkeys(("logp", "gain"), "nats by token"),
        "spread": dict.fromkeys(("span", "deviation"), "nats by token"),
        "budget": dict.fromkeys(("drop", "illusion"), "nats by token"),
        "circulation": {"size": "nats"},
    },
}
"""Units of a column in one table of a probe."""


def unit_of(probe: str, table: str, column: str) -> str:
    """The unit of a column; "" for shares, probabilities and counts, and for what isn't known."""
    return OWN.get(probe, {}).get(table, {}).get(column) or COMMON.get(column, "")

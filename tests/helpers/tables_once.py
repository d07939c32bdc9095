"""Tables that are made once of equal rows, for tests that look at the same report again."""

import pickle


def remembering(tables):
    """A function as a report's `tables`, which makes those of equal rows once and gives copies."""
    known = {}

    def made(frame):
        rows = pickle.dumps(frame)
        if rows not in known:
            known[rows] = tables(frame)
        return {name: table.copy() for name, table in known[rows].items()}

    return made

"""Loading that remembers, for tests that load the same models again and again."""

from mdlm_probe import models


def remembering():
    """A function as `models.load`, which loads a model once for each way of loading it."""
    load, known = models.load, {}

    def loaded(entry, *options):
        if (entry.name, options) not in known:
            known[entry.name, options] = load(entry, *options)
        return known[entry.name, options]

    return loaded

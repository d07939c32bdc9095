"""A command as each of two processes runs it under torchrun: `python two_processes.py COMMAND...`.

torchrun would load all libraries three times, once for itself; here they are loaded once, and the
processes forked. They find each other as under torchrun: by a store that their parent keeps.
"""

import importlib
import os
import sys

from forked import forked

from mdlm_probe.cli import main

NUMBER = 2


def started(rank, port):
    """The id of a process that runs the command."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": NUMBER, "LOCAL_WORLD_SIZE": NUMBER}
    own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}

    def work():
        os.environ |= {name: str(value) for name, value in own.items()}
        main(standalone_mode=False)

    return forked(work)


def run():
    """Starts all, and waits for them; returns whether one failed."""
    from torch.distributed import TCPStore

    for name in ("mdlm_probe.tuning.tune", "peft"):
        importlib.import_module(name)
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    children = [started(rank, store.port) for rank in range(NUMBER)]
    ends = [os.waitpid(child, 0)[1] for child in children]
    return any(ends)


if __name__ == "__main__":
    sys.exit(run())

"""The command `tasks`: the sets of the suites, with an example of each."""

from __future__ import annotations

import click

from mdlm_probe.cli.completions import suite_names
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_table
from mdlm_probe.prompts import shipped
from mdlm_probe.prompts.suite import load


@click.command(name="tasks")
@click.option(
    "--suite",
    help="Suite in tasks/, or path to a YAML file of your own; default: all.",
    shell_complete=suite_names,
)
def command(suite: str | None) -> None:
    """Lists the suites' sets and an example of each.

    Example: mdlm-probe tasks --suite few-shot
    """
    for name in [suite] if suite else shipped.suites():
        loaded = load(name)
        rows = []
        for title, fs in loaded.sets.items():
            example = fs.items(1, 0, 0)[0]
            rows.append((title, fs.template.ask(example), example.options[example.right]))
        echo(f"{loaded.name}: {shipped.path_of(name)}")
        echo_table(("set", "a test question", "right"), rows)

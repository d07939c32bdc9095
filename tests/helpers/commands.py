"""Commands of `mdlm-probe`, typed inside the test's own process."""

from click.testing import CliRunner

from mdlm_probe import cli


def call(*arguments, code=0, command=cli.main, **more):
    """The result of a command, which must end with this code (None: any) and no traceback."""
    result = CliRunner().invoke(command, [str(a) for a in arguments], **more)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert code in (result.exit_code, None), result.output
    assert "Traceback" not in result.output
    return result

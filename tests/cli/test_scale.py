"""`compress`, `fit` from statistics, and `update`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import Result

from bayeslat.posterior import load_posterior
from tests.cli.conftest import Workshop
from tests.posteriors import SPEC_TEXT, make_frame

pytestmark = pytest.mark.xdist_group("small posterior")

type Run = Callable[..., Result]


@pytest.fixture
def days(workshop: Workshop) -> dict[str, str]:
    frame = make_frame(9, rows=120)
    return {
        name: workshop.trace(frame.iloc[number::3], f"{name}.parquet")
        for number, name in enumerate(("monday", "tuesday", "wednesday"))
    }


def like_days(rows: int) -> pd.DataFrame:
    """Return rows of each GPU that are as those of the days."""
    frame = make_frame(9, rows=120)
    return frame.groupby("gpu", sort=False).head(rows).reset_index(drop=True)


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def made(run: Run, workshop: Workshop, *words: object, name: str = "s.nc") -> Path:
    path = workshop.folder / name
    done(run("compress", *words, "-o", path))
    return path


def fit(run: Run, workshop: Workshop, *words: object, name: str = "p.nc") -> Path:
    path = workshop.folder / name
    done(run("fit", *words, "--engine", "laplace", "-o", path))
    return path


def effects(path: Path) -> np.ndarray:
    return load_posterior(path).data.stages["decode"].effects.mean(axis=0)


def test_a_fit_of_statistics_is_one_of_the_rows(
    workshop: Workshop, run: Run, days: dict[str, str]
) -> None:
    traces = [days["monday"], days["tuesday"]]
    statistics = made(run, workshop, *traces, "-m", workshop.spec, "--jobs", "1")
    one = fit(run, workshop, statistics)
    two = fit(run, workshop, *traces, "-m", workshop.spec, name="q.nc")
    np.testing.assert_allclose(effects(one), effects(two), rtol=0.01, atol=1e-4)
    assert load_posterior(one).data.attrs["history"][0].startswith("bayeslat")


def test_statistics_at_one_point_are_fitted_together(
    workshop: Workshop, run: Run, days: dict[str, str]
) -> None:
    first = made(run, workshop, days["monday"], "-m", workshop.spec)
    second = workshop.folder / "t.nc"
    told = done(run("compress", days["tuesday"], "--like", first, "-o", second)).stdout
    assert "s.nc" in told.partition("settled by")[2].partition("Rows")[0]  # not by these rows
    both = fit(run, workshop, first, second)
    assert list(load_posterior(both).data.windows) == ["monday.parquet", "tuesday.parquet"]


def test_data_sheets_that_are_not_used_are_told(
    workshop: Workshop, run: Run, days: dict[str, str]
) -> None:
    statistics = made(run, workshop, days["monday"], "-m", workshop.spec)
    other = workshop.text("other.toml", "[gpus.h100_sxm]\nmem_bw_GBps = 900\n")
    told = "other.toml: h100_sxm: the values that were fitted, or compressed, with are kept"
    words = ("--hardware", other, "-o", workshop.folder / "o.nc")
    assert told in done(run("fit", statistics, "--engine", "laplace", *words)).stderr
    assert told in done(run("compress", days["tuesday"], "--like", statistics, *words)).stderr


def test_an_update_takes_rows_of_one_gpu(
    workshop: Workshop, run: Run, days: dict[str, str]
) -> None:
    posterior = fit(run, workshop, days["monday"], "-m", workshop.spec)
    frame = like_days(30)
    gpu = str(frame["gpu"].iloc[0])
    one = workshop.trace(frame[frame["gpu"] == gpu], "one.parquet")
    words = ("--engine", "laplace", "-o", workshop.folder / "u.nc")
    record = json.loads(done(run("update", posterior, one, *words, "--json")).stdout)
    assert {tuple(cells) for cells in record["in_sample"].values()} == {(gpu,)}
    done(run("update", posterior, one, *words))  # the tables


def test_broken_rows_are_left_out_when_asked(
    workshop: Workshop, run: Run, days: dict[str, str]
) -> None:
    frame = like_days(60)
    frame.loc[[5, 6], "t_decode_ms"] = -1.0
    broken = workshop.trace(frame, "broken.parquet")
    out = workshop.folder / "s.nc"
    refused = run("compress", broken, "-m", workshop.spec, "-o", out)
    assert refused.exit_code == 1
    assert not out.exists()
    left = done(run("compress", broken, "-m", workshop.spec, "-o", out, "--drop-invalid", "--json"))
    record = json.loads(left.stdout)
    assert record["left_out"] == 2
    assert record["rows"] == len(frame) - 2
    assert "left out for breaking a rule: 2 rows" in left.stderr
    assert "rows 6-7" in left.stderr
    posterior = fit(run, workshop, days["monday"], "-m", workshop.spec)
    added = workshop.folder / "u.nc"
    words = ("--engine", "laplace", "--drop-invalid", "-o", added)
    done(run("update", posterior, broken, *words))
    windows = load_posterior(added).data.windows
    assert windows["broken.parquet"].rows == len(frame) - 2


def test_gross_errors_are_counted_and_told(
    workshop: Workshop, run: Run, days: dict[str, str]
) -> None:
    frame = like_days(60)
    wrong = np.isin(np.arange(len(frame)), [5, 6, 70])
    spoilt = frame.assign(t_prefill_ms=frame["t_prefill_ms"] * np.where(wrong, 0.001, 1.0))
    trace = workshop.trace(spoilt, "seconds.parquet")
    made = done(run("compress", trace, "-m", workshop.spec, "-o", workshop.folder / "s.nc"))
    assert made.stderr.startswith("warning: 3 latencies were set aside as gross ones, five times")
    assert "- seconds.parquet: 2 of a100_sxm, prefill\n" in made.stderr
    posterior = fit(run, workshop, days["monday"], "-m", workshop.spec)
    words = ("--engine", "laplace", "--json", "-o", workshop.folder / "u.nc")
    updated = done(run("update", posterior, trace, *words))
    assert "- seconds.parquet: 1 of h100_sxm, prefill\n" in updated.stderr
    told = [(each["gpu"], each["rows"]) for each in json.loads(updated.stdout)["set_aside"]]
    assert told == [("a100_sxm", 2), ("h100_sxm", 1)]
    again = done(run("update", posterior, days["tuesday"], *words))
    assert "set aside" not in again.stderr
    assert json.loads(again.stdout)["set_aside"] == []


def test_a_gpu_that_has_changed_is_told_and_nothing_is_saved(
    workshop: Workshop, run: Run, days: dict[str, str]
) -> None:
    statistics = made(run, workshop, days["monday"], "-m", workshop.spec)
    posterior = fit(run, workshop, statistics)
    slower = like_days(60)
    slower["t_decode_ms"] *= np.where(slower["gpu"] == "h200_sxm", 1.3, 1.0)
    trace = workshop.trace(slower, "slower.parquet")
    words = ("--engine", "laplace", "-o", workshop.folder / "u.nc")
    refused = run("update", posterior, trace, *words)
    assert refused.exit_code == 1
    assert "which sums cannot follow (h200_sxm: decode 3" in refused.stderr
    assert not (workshop.folder / "u.nc").exists()
    later = made(run, workshop, trace, "--like", statistics, name="later.nc")
    refused = run("fit", statistics, later, *words)
    assert refused.exit_code == 1
    assert "h200_sxm: decode" in refused.stderr


def test_an_update_adds_and_retires(workshop: Workshop, run: Run, days: dict[str, str]) -> None:
    statistics = made(run, workshop, days["monday"], days["tuesday"], "-m", workshop.spec)
    posterior = fit(run, workshop, statistics)
    out = workshop.folder / "u.nc"
    words = ("--retire", "monday.parquet", "--engine", "laplace", "--json", "-o", out)
    record = json.loads(done(run("update", posterior, days["wednesday"], *words)).stdout)
    assert record["windows"] == {"tuesday.parquet": 120, "wednesday.parquet": 120}
    assert record["rows"] == 240
    assert set(record["in_sample"]) == {"prefill", "decode", "total"}
    like = made(run, workshop, days["wednesday"], "--like", statistics, name="w.nc")
    merged = fit(run, workshop, statistics, like, name="m.nc")
    less = workshop.folder / "v.nc"
    done(run("update", merged, "--retire", "monday.parquet", "--engine", "laplace", "-o", less))
    np.testing.assert_allclose(effects(out), effects(less), rtol=0.01, atol=1e-4)


def test_the_tables_say_what_was_compressed(
    workshop: Workshop, run: Run, days: dict[str, str]
) -> None:
    out = workshop.folder / "s.nc"
    words = ("-m", workshop.spec, "--window", "week 1", "-o", out)
    shown = done(run("compress", *days.values(), *words)).stdout
    for text in ("3 GPUs, 360 rows", "week 1", "decode", "Saved in"):
        assert text in shown
    record = json.loads(done(run("compress", *days.values(), *words, "--json")).stdout)
    assert record["windows"] == {"week 1": 360}
    assert record["stages"]["decode"] == {"rows": 360, "counted": 360.0, "beyond": 0}


def refused(result: Result, *told: str) -> None:
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    for text in told:
        assert text in result.stderr


def test_what_compress_refuses(workshop: Workshop, run: Run, days: dict[str, str]) -> None:
    out = workshop.folder / "out.nc"
    out.write_text("earlier")
    monday, spec = days["monday"], workshop.spec
    statistics = made(run, workshop, monday, "-m", spec)
    other = workshop.text("other.toml", SPEC_TEXT.replace('"0.5"', '"0.6"'))
    cut = workshop.folder / "cut.parquet"
    cut.write_bytes(Path(monday).read_bytes()[:-99])
    new = workshop.trace(make_frame(1, ("l40s",), rows=5), "new.parquet")

    def compress(*words: object) -> Result:
        return run("compress", *words, "-o", out)

    refused(compress(monday), "--model SPEC.toml")
    refused(compress(cut, "-m", spec), "cut.parquet", "cut short", "copy it again")
    refused(compress(workshop.trace(name="t.csv"), "-m", spec), "t.csv", "from Parquet")
    refused(compress(monday, "-m", other, "--like", statistics), "is not the one of")
    refused(compress(new, "--like", statistics), "rows of l40s", "`calibrate`")
    refused(compress(monday, "--like", cut), "--like", "cut.parquet", "not a NetCDF file")
    refused(compress(monday, "-m", spec, "--window", " "), "--window", "the name is empty")
    refused(compress(monday, "-m", spec, "--jobs", "0"), "--jobs is 0; give a number")
    refused(
        compress(monday, "-m", spec, "--stages", "x", "--like", cut, "--window", "", "--jobs", "0"),
        *("no stage 'x'", "--like", "--window", "--jobs is 0"),  # at once
    )
    refused(run("compress", monday, "-m", spec, "-o", "x.parquet"), "x.parquet", "ends in .nc")
    assert out.read_text() == "earlier"


def test_what_fit_and_update_refuse(workshop: Workshop, run: Run, days: dict[str, str]) -> None:
    out = workshop.folder / "out.nc"
    out.write_text("earlier")
    monday, spec = days["monday"], workshop.spec
    statistics = made(run, workshop, monday, "-m", spec)
    apart = made(run, workshop, days["tuesday"], "-m", spec, name="apart.nc")
    other = workshop.text("other.toml", SPEC_TEXT.replace('"0.5"', '"0.6"'))
    cut = workshop.folder / "cut.nc"
    cut.write_bytes(statistics.read_bytes()[:-99])

    def tried(*words: object) -> Result:
        return run(*words, "-o", out, "--engine", "laplace")

    refused(tried("fit", statistics, monday), "holds statistics and", "does not", "--like")
    refused(tried("fit", statistics, "-m", other), "another specification", "leave --model out")
    refused(tried("fit", statistics, apart), "different points", "--like")
    refused(tried("fit", statistics, "--gpus", "h100_sxm"), "--gpus", "fit the traces")
    refused(tried("fit", monday), "--model SPEC.toml")
    refused(tried("fit", cut), "cut.nc", "cut short", "compress the traces again")
    refused(tried("fit", workshop.posterior), "bayeslat posterior", "no statistics")
    refused(tried("update", workshop.posterior), "nothing to do", "--retire")
    refused(tried("update", workshop.posterior, "--retire", "x"), "no window x", "there are fit")
    refused(tried("update", workshop.posterior, "--retire", "fit"), "no window is left")
    refused(  # before any row is read
        tried("update", workshop.posterior, cut, "--retire", "x", "--window", "", "--jobs", "0"),
        *("no window x", "--window", "--jobs is 0"),
    )
    new = workshop.trace(make_frame(1, ("l40s",), rows=5), "new.parquet")
    refused(tried("update", workshop.posterior, new), "rows of l40s", "`calibrate`")
    assert out.read_text() == "earlier"

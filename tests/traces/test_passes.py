"""Which rows are of one pass over the configurations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayeslat.traces.passes import FEWEST_CONFIGS, Passes, label_passes


def measure(
    configs: int = 8, repeats: int = 3, *, back_to_back: bool = False, seed: int = 0
) -> pd.DataFrame:
    """Rows in order of time, one each 2 s; every pass in an order of its own."""
    rng = np.random.default_rng(seed)
    if back_to_back:
        visits = [(config, repeat) for config in rng.permutation(configs) for repeat in range(3)]
    else:
        visits = [(config, n) for n in range(repeats) for config in rng.permutation(configs)]
    frame = pd.DataFrame(visits, columns=["config", "repeat"])
    start = pd.Timestamp("2026-01-05T08:00:00Z")
    moments = start + pd.to_timedelta(2.0 * np.arange(len(frame)), unit="s")
    return frame.assign(collected_at=moments.strftime("%Y-%m-%dT%H:%M:%SZ"))


def later(frame: pd.DataFrame, hours: float) -> pd.DataFrame:
    moments = pd.to_datetime(frame["collected_at"]) + pd.to_timedelta(hours, unit="h")
    return frame.assign(collected_at=moments.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def passes(frame: pd.DataFrame) -> Passes | None:
    return label_passes(frame, frame["config"].to_numpy())


def told(frame: pd.DataFrame) -> Passes:
    found = passes(frame)
    assert found is not None
    return found


def test_a_repeat_number_is_a_pass_where_all_of_it_was_measured_together() -> None:
    frame = measure().sample(frac=1.0, random_state=1)  # as they stand, numbers are mixed
    found = told(frame)
    assert (found.kind, found.names) == ("pass", ("repeat 0", "repeat 1", "repeat 2"))
    assert found.label.tolist() == frame["repeat"].tolist()


def test_passes_are_in_order_of_time_and_not_of_their_numbers() -> None:
    frame = measure().assign(repeat=lambda rows: 9 - rows["repeat"])
    assert told(frame).names == ("repeat 9", "repeat 8", "repeat 7")
    assert told(frame).label.tolist() == (9 - frame["repeat"]).tolist()


def test_without_times_rows_count_as_they_stand() -> None:
    found = told(measure().drop(columns="collected_at"))
    assert found.kind == "pass"
    mixed = measure().sample(frac=1.0, random_state=1).drop(columns="collected_at")
    assert told(mixed).kind == "repeat"
    partly = measure().assign(collected_at=lambda rows: rows["collected_at"].where(rows.index > 0))
    assert told(partly).kind == "pass"


def test_repeats_measured_one_after_the_other_are_no_passes() -> None:
    found = told(measure(back_to_back=True))
    assert (found.kind, found.names) == ("repeat", ("repeat 0", "repeat 1", "repeat 2"))


def test_a_reference_that_counts_for_itself_is_of_the_pass_that_it_was_measured_in() -> None:
    frame = measure(configs=20)
    every = np.arange(0, len(frame), 5)
    reference = frame.loc[every].assign(config=99, repeat=np.arange(len(every)))
    both = pd.concat([frame, reference]).sort_values("collected_at", kind="stable")
    both = both.reset_index(drop=True)
    found = told(both)
    assert (found.kind, len(found.names)) == ("pass", 3)
    own = (both["config"] != 99).to_numpy()
    assert (found.label[own] == both["repeat"][own]).all()
    assert np.bincount(found.label[~own]).tolist() == [4, 4, 4]


def test_a_few_rows_that_were_made_up_for_later_are_of_the_later_pass() -> None:
    frame = measure(configs=20)
    frame = pd.concat([frame.drop(index=[3]), later(frame.loc[[3]], 0.03)], ignore_index=True)
    found = told(frame)
    assert found.kind == "pass"
    assert found.label[-1] == 2


def test_long_breaks_part_sessions_where_repeats_are_no_passes() -> None:
    day, next_day = measure(back_to_back=True), later(measure(back_to_back=True, seed=1), 24.0)
    found = told(pd.concat([day, next_day.assign(repeat=lambda rows: rows["repeat"] + 3)]))
    assert (found.kind, found.names) == ("session", ("session 1", "session 2"))
    assert found.label.tolist() == [0] * len(day) + [1] * len(next_day)
    unnumbered = pd.concat([day, next_day]).drop(columns="repeat")
    assert told(unnumbered).kind == "session"


def test_slow_measurements_are_no_sessions() -> None:
    """Each takes half an hour: a break is long beside the steps between rows."""
    frame = measure(back_to_back=True).drop(columns="repeat")
    moments = pd.to_datetime("2026-01-05") + pd.to_timedelta(0.5 * np.arange(len(frame)), unit="h")
    assert passes(frame.assign(collected_at=moments.strftime("%Y-%m-%dT%H:%M:%SZ"))) is None


@pytest.mark.parametrize("gone", [["repeat"], ["repeat", "collected_at"]])
def test_without_repeats_nothing_is_told(gone: list[str]) -> None:
    assert passes(measure(repeats=1)) is None
    assert passes(measure().drop(columns=gone)) is None
    assert passes(measure().head(0)) is None


def test_few_configurations_are_no_pass() -> None:
    assert passes(measure(configs=FEWEST_CONFIGS - 1)) is None
    assert passes(measure(configs=FEWEST_CONFIGS)) is not None

"""Values of options: taken apart, and checked before long work starts."""

from __future__ import annotations

from collections.abc import Sequence

from bayeslat.errors import InputError
from bayeslat.finite import wrong_budget, wrong_share

__all__ = [
    "check_budget",
    "check_share",
    "check_stack",
    "choose_jobs",
    "read_alpha",
    "split_budgets",
    "split_counts",
    "split_names",
]


def choose_jobs(jobs: int | None, engine_address: str | None, default: int = -1) -> int:
    """Return the processes of this machine to use.

    Parameters
    ----------
    jobs : int or None
        As the user has it.
    engine_address : str or None
        Of a cluster in place of this machine.
    default : int
        -1: one a core.

    Raises
    ------
    InputError
        If there is no such number of processes or no such address, or both are given.
    """
    from bayeslat.parallel import check_workers

    if jobs is not None and engine_address is not None:
        raise InputError(
            f"--jobs {jobs} is of this machine, and --engine-address {engine_address} of another; "
            "leave one out"
        )
    chosen = default if jobs is None else jobs
    check_workers(chosen, engine_address)
    return chosen


def split_names(text: str | None, option: str) -> list[str]:
    """Take names apart that commas separate.

    Parameters
    ----------
    text : str or None
        What was given, if anything.
    option : str
        Its name, for the message.

    Raises
    ------
    InputError
        If a name is empty.
    """
    if text is None:
        return []
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"{option} {text!r}: a name is empty; write names as in a,b,c")
    return names


def split_budgets(texts: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Read budgets of stages.

    Parameters
    ----------
    texts : sequence of str
        As in `llm_prefill=300`, or `vision_encoder+llm_prefill=400`.

    Returns
    -------
    budgets : dict of str to float
        ms, by the text before the `=`.
    problems : list of str
        Of every text that is none.
    """
    found: dict[str, float] = {}
    problems = []
    for text in texts:
        stages, _, number = text.rpartition("=")
        name = stages.strip()
        try:
            ms = float(number)
        except ValueError:
            name = ""
        if not name:
            problems.append(f"--stage-budget {text!r}; write it as in llm_prefill=300, in ms")
        elif name in found:
            problems.append(f"--stage-budget of {name} is given twice; give it once")
        else:
            found[name] = ms
    return found, problems


def split_counts(text: str, option: str) -> tuple[int, ...]:
    """Take numbers of rows apart that commas separate, and put them in order.

    Parameters
    ----------
    text : str
    option : str
        Its name, for the message.

    Raises
    ------
    InputError
        If one is no whole number from 0 on.
    """
    names = split_names(text, option)
    wrong = [name for name in names if not name.isdecimal()]
    if wrong:
        raise InputError(
            f"{option} {text!r}: {', '.join(wrong)} is no number of rows; write them as in 0,10,50"
        )
    return tuple(sorted({int(name) for name in names}))


def check_budget(budget_ms: float | None) -> None:
    """Refuse a budget that no latency can be compared with, before long work starts.

    Raises
    ------
    InputError
        If it is not finite and above 0.
    """
    if budget_ms is not None and (problem := wrong_budget("--budget-ms", budget_ms)):
        raise InputError(problem)


def check_share(share: float, option: str) -> None:
    """Refuse what is no share, before long work starts.

    Parameters
    ----------
    share : float
    option : str
        Its name, for the message.

    Raises
    ------
    InputError
        If it is not between 0 and 1.
    """
    if problem := wrong_share(option, share, "0.10 for 10 %"):
        raise InputError(problem)


def check_stack(stack: str | None) -> None:
    """Refuse a stack without a name, which would be a new one.

    Raises
    ------
    InputError
        If it is blank.
    """
    if stack is not None and not stack.strip():
        raise InputError(
            f"--stack {stack!r}: the name is empty; write one of the traces, or leave --stack out"
        )


def read_alpha(text: str | None) -> tuple[float, float, float] | None:
    """Read three numbers, with commas between them; None without any.

    Raises
    ------
    InputError
        If they are not three numbers.
    """
    if text is None:
        return None
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--alpha is {text!r}; give three numbers of us, as in --alpha 15000,800,50"
        ) from None
    return first, second, third

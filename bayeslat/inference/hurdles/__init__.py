"""Whether a stage takes any time at all: a logistic regression that groups share partially."""

__all__: list[str] = []

"""From rows of a trace to the regression of a stage: repeats, outliers, noise, linearisation."""

__all__: list[str] = []

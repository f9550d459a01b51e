"""From traces to a posterior, and from a posterior to a target's: the one layer that samples.

Its folders, each of which imports only those before it:

- `engines`: from the problem of a stage to its draws;
- `rows`: from rows of a trace to the regression of a stage;
- `hurdles`: whether a stage takes any time at all;
- `posteriors`: what a fit knows, and what was left out of it;
- `storage`: posteriors as trees of labelled arrays, in sealed files;
- `calibration`: a GPU or stack joins a posterior by its own rows;
- `fitting`: every stage of a spec on every GPU of a trace;
- `compression`: more rows than fit in memory.
"""

__all__: list[str] = []

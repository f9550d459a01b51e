"""Arguments and options of the commands, with their help: a file for each kind of command."""

__all__: list[str] = []

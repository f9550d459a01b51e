"""Files of other tools as traces: one module a format, behind one interface.

`importer` says what an importer is, `vocabulary` which columns it may fill, `registry` which there
are, and `convert` turns files into a trace.
"""

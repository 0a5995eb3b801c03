"""The command line: one file per command family, each parse, call, print."""

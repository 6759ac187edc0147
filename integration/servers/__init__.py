"""Servers for Sluice's integration tests: real ones started as child processes, and scripted ones in threads."""

"""Benchmarks of GoStream. Modules with a `main` are commands: `python -m benchmarks.x --help`."""

"""What GoStream is measured with. Modules with a `main` are commands: `python -m benchmarks.x --help`."""

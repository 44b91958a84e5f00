"""Every figure of README.md and of docs/results stands in a committed report; a new one must say in which."""

"""The use cases: what every surface calls, one function a verb."""

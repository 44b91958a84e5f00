"""Tests of the server, against real ones on loopback."""

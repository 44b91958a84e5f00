"""What runs on the target: standard library, numpy and an interpreter only."""

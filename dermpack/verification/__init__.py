"""Check again, from the files alone, everything that an export or its contract states."""

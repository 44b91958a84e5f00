"""Where a benchmark runs: this host, ssh, adb, emulated ARM."""

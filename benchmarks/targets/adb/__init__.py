"""Run a benchmark on an Android phone through adb."""

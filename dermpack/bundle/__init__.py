"""One file that an app developer embeds: a Gradle module with model, code, golden vectors and checksums."""

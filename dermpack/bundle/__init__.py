"""Build, read, verify and sign bundles: one file with model, code and golden vectors that an app embeds."""

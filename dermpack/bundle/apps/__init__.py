"""Built apps: what an APK or an Android archive (AAR) contains, and whether it may be released."""

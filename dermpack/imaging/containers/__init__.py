"""Read what surrounds the pixels; Pillow then sees what its decoder needs and nothing else.

Profiles, texts, previews and EXIF are where parsers are attacked and where they warn: they are cut off here,
unread but for the orientation. What remains is checked for completeness, so that a cut file has one name.
"""

"""Why a layout leaves something out."""

from __future__ import annotations

from enum import Enum

from dermpack.dataset.manifest import Finding


class OmissionReason(Enum):
    """The closed vocabulary of a layout's findings; `.value` is the word in the finding."""

    LINK = "link"  # a symbolic link, or a path through one
    OUTSIDE = "outside"  # a path that leaves the source
    NAME = "name"  # a file name that no table can hold on one line
    NO_CLASS = "no-class"  # a picture in no class folder
    NO_LABEL = "no-label"  # a row with an empty label
    NO_FILE = "no-file"  # a row without its picture
    NO_ROW = "no-row"  # a picture without its row
    NOT_IN_TABLE = "not-in-table"  # pictures beside a table that does not name them, in one finding
    REPEATED = "repeated"  # a second, other file for one row
    COPIES = "copies"  # second files for their rows, byte for byte: a download that was unpacked twice
    TWO_LABELS = "two-labels"  # rows that contradict each other
    EMPTY_CLASS = "empty-class"  # a class folder without pictures
    UNREAD = "unread-format"  # a picture, by its extension, in a format that is not opened
    OTHER = "other-file"  # no picture by its extension, and none by how it begins
    UNMAPPED = "unmapped"  # a class that the asked task does not name


# Said of a folder, a class or a choice, not of a picture that is at fault.
FAULTLESS = frozenset(
    each.value
    for each in (
        OmissionReason.EMPTY_CLASS,
        OmissionReason.UNMAPPED,
        OmissionReason.COPIES,
        OmissionReason.OTHER,
        OmissionReason.NOT_IN_TABLE,
    )
)


def refused(why: OmissionReason, picture: str, detail: str) -> Finding:
    return Finding(kind=why.value, picture=picture, detail=detail)

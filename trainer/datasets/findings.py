"""The kinds of findings that an import or a check reports: closed vocabularies, written to dataset.json."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from dermpack.dataset.manifest import Finding
from dermpack.errors import MissingExtraError
from dermpack.imaging.rejection import Reason


class OmissionReason(Enum):
    """Why reading a source leaves something out."""

    LINK = "link"  # a symbolic link, or a path through one
    NOT_A_FILE = "not-a-file"  # a pipe, a socket or a device
    OUTSIDE = "outside"  # a path that leaves the source
    NAME = "name"  # a file name that does not fit on one line of a table
    NO_CLASS = "no-class"  # a picture outside of every class folder
    NO_LABEL = "no-label"  # a row with an empty label
    NO_FILE = "no-file"  # a row without its picture
    NO_ROW = "no-row"  # a picture without its row
    NOT_IN_TABLE = "not-in-table"  # pictures that the table does not list, in one finding
    REPEATED = "repeated"  # a second, different file for one row
    COPIES = "copies"  # identical second files of rows: a download that was unpacked twice
    TWO_LABELS = "two-labels"  # rows that contradict each other
    MARKED_WRONG = "marked-wrong"  # a row that the quality mark of the source calls wrong
    UNCERTAIN = "uncertain-label"  # a case whose annotators agree on no condition
    EMPTY_CLASS = "empty-class"  # a class folder without pictures
    UNREAD = "unread-format"  # a picture, by its extension, in an unsupported format
    OTHER = "other-file"  # not a picture, by its extension and its first bytes
    UNMAPPED = "unmapped"  # a class that the requested task does not use
    BY_MAP = "by-map"  # a picture to which --map gives an empty label


# Findings about a folder, a class or a choice. They do not count as unusable pictures.
FAULTLESS = frozenset(
    OmissionReason[name].value
    for name in (
        "EMPTY_CLASS",
        "UNMAPPED",
        "COPIES",
        "OTHER",
        "NOT_IN_TABLE",
        "MARKED_WRONG",
        "UNCERTAIN",
        "BY_MAP",
    )
)


class ImportOutcome(Enum):
    """What an import finds by opening the pictures and comparing them with each other."""

    CONTRADICTION = "contradiction"  # pixel-identical under different labels; left out
    LEAK = "leak"  # given splits separate a group or a cluster; left out with --mend
    CHANGED = "changed"  # the file was rewritten or removed during the import; left out
    UNREADABLE = "unreadable"  # left out
    IDENTICAL = "identical"  # repeats the pixels of an earlier picture with the same label
    NEAR = "near-duplicate"  # the same photograph as an earlier picture
    SAME_SCENE = "same-scene"  # another photograph of the scene or lesion of an earlier picture
    NEAR_OTHER_LABEL = "near-duplicate-other-label"
    UNUSED_SHARES = "split-unused"  # shares were requested, but the source gives every split
    MISSING_CLASS = "missing-class"  # a split without pictures of a class


class Problem(Enum):
    """What a check of a dataset folder can find."""

    MISSING = "missing"
    MOVED = "missing-folder"  # none of the pictures is at its recorded place
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    LINK = "link"
    SIZE = "size"
    COUNTS = "counts"
    GROUP_LEAK = "group-leak"
    CLUSTER_LEAK = "cluster-leak"
    UNRECORDED_LEAK = "unrecorded-leak"  # duplicates in two splits that no cluster records
    CONTRADICTION = "contradiction"  # pixel-identical under different labels
    NO_PICTURE = "no-picture"


def create_finding(kind: OmissionReason | ImportOutcome | Problem, picture: str, detail: str) -> Finding:
    """Return a finding about a picture, or about a class or folder where `picture` names one."""
    return Finding(kind=kind.value, picture=picture, detail=detail)


def count_unusable(refused: Mapping[str, int]) -> int:
    """Return the number of pictures that an import could not use, from the counts of its findings by kind."""
    return sum(count for kind, count in refused.items() if kind not in FAULTLESS)


def describe_undecoded(refused: Mapping[str, int], *, used: int) -> str:
    """Return a sentence about HEIC photographs whose decoder is not installed, or "" if there are none."""
    count = refused.get(Reason.MISSING_EXTRA.value, 0)
    if not count:
        return ""
    total = used + count_unusable(refused)
    return (
        f"{count:,} of {total:,} pictures ({count / total:.1%}) were left out, because the package that "
        f"decodes HEIC photographs is not installed. {MissingExtraError('pillow_heif', 'heic').hint}, and "
        "then repeat the command with --overwrite"
    )

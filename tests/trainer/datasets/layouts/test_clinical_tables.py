"""Fitzpatrick17k, SCIN and PAD-UFES-20 are read as published: groups, unknown values, uncertain labels."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.support import picture_sources as sources
from tests.support.errors import raises_code
from trainer.datasets.layouts.listing import Listing, SourceFormat, SourceRequest
from trainer.datasets.layouts.read_source import read_source
from trainer.datasets.layouts.scin import parse_weights


def listing_of(source: Path, request: SourceRequest | None = None) -> Listing:
    return read_source(source, request or SourceRequest(), pictures=source)


def kinds(listing: Listing) -> dict[str, str]:
    return {finding.picture: finding.kind for finding in listing.refused}


def cells_of(listing: Listing, stem: str) -> dict[str, str]:
    (picture,) = (each for each in listing.pictures if Path(each.path).stem == stem)
    return dict(zip(listing.columns, picture.metadata, strict=True))


# Fitzpatrick17k


def test_skin_types_of_minus_one_are_unknown_and_the_website_is_a_column(tmp_path: Path) -> None:
    rows = sources.fitzpatrick17k_rows(("psoriasis", "eczema"))
    rows[0][1:3] = ["-1", "4"]
    listing = listing_of(sources.write_fitzpatrick17k(tmp_path / "source", rows=rows))
    cells = cells_of(listing, rows[0][0])
    assert (cells["fitzpatrick_scale"], cells["fitzpatrick_centaur"]) == ("", "4")
    assert cells["website"] == "dermaamin.com"
    assert cells_of(listing, rows[1][0])["website"] == "atlasdermatologico.com.br"


def test_rows_whose_pictures_were_not_downloaded_are_listed(tmp_path: Path) -> None:
    source = sources.write_fitzpatrick17k(tmp_path / "source")
    missing = sorted((source / "data").iterdir())[0]
    missing.unlink()
    sources.write_picture(source / "data" / "unknown.jpg")
    listing = listing_of(source)
    assert len(listing.pictures) == 3
    assert kinds(listing) == {missing.stem: "no-file", "data/unknown.jpg": "no-row"}


def test_what_the_quality_mark_calls_wrong_is_left_out(tmp_path: Path) -> None:
    rows = sources.fitzpatrick17k_rows(("psoriasis", "eczema", "psoriasis"))
    rows[0][6], rows[1][6] = "3 Wrongly labelled", "1 Diagnostic"
    listing = listing_of(sources.write_fitzpatrick17k(tmp_path / "source", rows=rows))
    assert kinds(listing) == {rows[0][0]: "marked-wrong"}
    assert cells_of(listing, rows[1][0])["qc"] == "1 Diagnostic"


def test_a_hash_with_two_labels_is_left_out_and_equal_rows_count_once(tmp_path: Path) -> None:
    rows = sources.fitzpatrick17k_rows(("psoriasis", "eczema", "acne"))
    rows += [[*rows[0]], [*rows[1][:3], "acne", *rows[1][4:]]]
    source = sources.write_fitzpatrick17k(tmp_path / "source", rows=rows[:3])
    sources.write_table(source / "fitzpatrick17k.csv", (sources.FITZPATRICK17K_HEADER, *rows))
    listing = listing_of(source)
    assert [picture.label for picture in listing.pictures].count("psoriasis") == 1
    assert kinds(listing) == {rows[1][0]: "two-labels"}


def test_the_table_can_be_elsewhere(tmp_path: Path) -> None:
    source = sources.write_fitzpatrick17k(tmp_path / "source")
    table = (source / "fitzpatrick17k.csv").rename(tmp_path / "table.csv")
    request = SourceRequest(format=SourceFormat.FITZPATRICK17K, metadata_file=table)
    assert len(listing_of(source, request).pictures) == 4


def test_two_tables_of_hashes_are_ambiguous(tmp_path: Path) -> None:
    source = sources.write_fitzpatrick17k(tmp_path / "source")
    shutil.copy(source / "fitzpatrick17k.csv", source / "second.csv")
    with raises_code("ambiguous-layout", "fitzpatrick17k.csv, second.csv", "--metadata"):
        listing_of(source)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a\\b"])
def test_a_hash_that_is_not_a_file_name_is_an_error(tmp_path: Path, name: str) -> None:
    rows = sources.fitzpatrick17k_rows(("psoriasis", "eczema"))
    source = sources.write_fitzpatrick17k(tmp_path / "source", rows=rows)
    sources.write_table(
        source / "fitzpatrick17k.csv", (sources.FITZPATRICK17K_HEADER, [name, *rows[0][1:]], rows[1])
    )
    with raises_code("invalid-table", "fitzpatrick17k.csv:2", "md5hash"):
        listing_of(source)


# SCIN


def test_a_case_is_a_group_with_its_dominant_condition(tmp_path: Path) -> None:
    listing = listing_of(sources.write_scin(tmp_path / "source"))
    assert Counter((picture.group, picture.label) for picture in listing.pictures) == {
        ("-1000600354148496558", "Eczema"): 3,
        ("2", "Grover's disease"): 1,
        ("3", "Eczema"): 1,
    }


def test_answers_to_one_question_are_one_column_and_unknown_ones_are_empty(tmp_path: Path) -> None:
    listing = listing_of(sources.write_scin(tmp_path / "source"))
    first, second = cells_of(listing, "12"), cells_of(listing, "21")
    assert (first["body_parts"], first["condition_symptoms"]) == ("arm; leg", "itching")
    assert (first["shot_type"], first["label_weight"], first["monk_skin_tone_label_us"]) == (
        *("AT_AN_ANGLE", "0.69"),
        "3",
    )
    assert first["dermatologist_fitzpatrick_skin_type_label_2"] == "FST3"
    assert (second["age_group"], second["fitzpatrick_skin_type"], second["body_parts"]) == ("", "", "")


def test_numbers_with_gaps_become_whole_and_versions_stay(tmp_path: Path) -> None:
    cases = [
        sources.scin_case("2", ("1",), year="2023.0"),
        sources.scin_case("3", ("2",), year="1.05"),
    ]
    labels = [{"case_id": name, "weighted_skin_condition_label": "{'Eczema': 1.0}"} for name in "23"]
    listing = listing_of(sources.write_scin(tmp_path / "source", cases, labels))
    assert [cells_of(listing, stem)["year"] for stem in "12"] == ["2023", "1.05"]
    assert cells_of(listing, "1")["release"] == "1.0.0"


def test_columns_named_like_those_of_the_manifest_get_a_prefix(tmp_path: Path) -> None:
    source = sources.write_scin(tmp_path / "source")
    for name, added in (
        ("scin_cases.csv", ("split", "textures")),
        ("scin_labels.csv", ("Label", "shot_type")),
    ):
        table = source / "dataset" / name
        header, *rows = table.read_text(encoding="utf-8").splitlines()
        lines = [",".join((header, *added)), *(f"{row},x,y" for row in rows)]
        table.write_text("\n".join(lines), encoding="utf-8")
    listing = listing_of(source)
    cells = cells_of(listing, "12")
    assert (cells["source_split"], cells["source_textures"]) == ("x", "y")
    assert (cells["source_Label"], cells["source_shot_type"]) == ("x", "y")
    assert cells["shot_type"] == "AT_AN_ANGLE"
    assert len(set(listing.columns)) == len(listing.columns)


def test_the_columns_that_the_label_is_made_of_are_no_metadata(tmp_path: Path) -> None:
    columns = listing_of(sources.write_scin(tmp_path / "source")).columns
    assert [name for name in columns if "condition_on_label" in name or "confidence" in name] == []
    assert [name for name in columns if name.startswith(("image_", "body_parts_", "case_id"))] == []


def test_cases_without_dominant_condition_are_left_out_and_counted(tmp_path: Path) -> None:
    weights = {"a": "{'Eczema': 0.5, 'Psoriasis': 0.5}", "b": "{}", "c": "", "d": "{'Eczema': 0.6}"}
    cases = [sources.scin_case(name, (f"{name}1", f"{name}2")) for name in (*weights, "e")]
    labels = [
        {"case_id": name, "weighted_skin_condition_label": text} for name, text in weights.items()
    ]  # e has no row
    source = sources.write_scin(tmp_path / "source", cases, labels)
    listing = listing_of(source)
    assert [picture.group for picture in listing.pictures] == ["d", "d"]
    assert kinds(listing) == dict.fromkeys("abce", "uncertain-label")


@pytest.mark.parametrize(("least", "kept"), [(0.0, 1), (0.59, 1), (0.6, 0)])
def test_the_weight_of_a_label_exceeds_the_option(tmp_path: Path, least: float, kept: int) -> None:
    cases = [sources.scin_case("a", ("1",)), sources.scin_case("b", ("2",)), sources.scin_case("c", ("3",))]
    labels = [
        {"case_id": "a", "weighted_skin_condition_label": "{'Eczema': 0.6, 'Psoriasis': 0.4}"},
        {"case_id": "b", "weighted_skin_condition_label": "{'Acne': 1.0}"},
        {"case_id": "c", "weighted_skin_condition_label": "{'Eczema': 0.4, 'Psoriasis': 0.4, 'Acne': 0.2}"},
    ]
    source = sources.write_scin(tmp_path / "source", cases, labels)
    listing = listing_of(source, SourceRequest(min_weight=least))
    assert len(listing.pictures) == 1 + kept
    assert kinds(listing)["c"] == "uncertain-label"


def test_a_picture_of_two_cases_joins_them(tmp_path: Path) -> None:
    cases = [sources.scin_case("a", ("1", "2")), sources.scin_case("b", ("2", "3"))]
    labels = [{"case_id": name, "weighted_skin_condition_label": "{'Eczema': 1.0}"} for name in "ab"]
    listing = listing_of(sources.write_scin(tmp_path / "source", cases, labels))
    assert [(Path(each.path).stem, each.group) for each in listing.pictures] == [
        *(("1", "a"), ("2", "a"), ("3", "a"))
    ]


def test_a_picture_of_two_cases_with_two_labels_is_left_out(tmp_path: Path) -> None:
    cases = [sources.scin_case("a", ("1", "2")), sources.scin_case("b", ("2", "3"))]
    labels = [
        {"case_id": "a", "weighted_skin_condition_label": "{'Eczema': 1.0}"},
        {"case_id": "b", "weighted_skin_condition_label": "{'Acne': 1.0}"},
    ]
    listing = listing_of(sources.write_scin(tmp_path / "source", cases, labels))
    assert (len(listing.pictures), kinds(listing)) == (2, {"2": "two-labels"})


def test_the_folder_with_the_tables_can_be_the_source(tmp_path: Path) -> None:
    source = sources.write_scin(tmp_path / "source")
    assert listing_of(source / "dataset").format == "scin"


def test_min_weight_applies_to_weighted_labels_only(tmp_path: Path) -> None:
    source = sources.write_folders(tmp_path / "source")
    with raises_code("option-not-applicable", "--min-weight", "folders"):
        listing_of(source, SourceRequest(min_weight=0.5))


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("", {}),
        (" {} ", {}),
        ("{'Eczema': 0.69, 'Psoriasis': 1e-1}", {"Eczema": 0.69, "Psoriasis": 0.1}),
        ('{"Grover\'s disease": 1}', {"Grover's disease": 1.0}),
        (r"{'Grover\'s \"disease\"': 1.0}", {'Grover\'s "disease"': 1.0}),
        ("{'Eczema, acute: hands': 1.0}", {"Eczema, acute: hands": 1.0}),
    ],
)
def test_weights_are_parsed(text: str, weights: dict[str, float]) -> None:
    assert parse_weights(text) == weights


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "nan", "{'a': 'b'}", "{'a': nan}", "{'a': 1e999}", "{'a': -1}", "{'a': 1} {'b': 1}"),
        *("{'a': 1, 'a': 2}", "{'': 1}", "{'a' 1}", "{a: 1}", "{'a': __import__('os')}", "{'a\x00': 1}"),
        "{" + "'a': 1," * 2000 + "}",
        "{'" + "\\" * 4001 + "': 1}",
        "{" + "(" * 1000 + "}",
    ],
    ids=lambda text: text[:12],
)
def test_weights_that_are_no_names_with_numbers_are_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_weights(text)


def test_invalid_weights_name_the_line(tmp_path: Path) -> None:
    labels = [*sources.SCIN_LABELS[:2], {"case_id": "3", "weighted_skin_condition_label": "{'a': exit()}"}]
    source = sources.write_scin(tmp_path / "source", labels=labels)
    with raises_code("invalid-table", "scin_labels.csv:4"):
        listing_of(source)


# PAD-UFES-20


def test_patients_and_lesions_together_make_the_groups(tmp_path: Path) -> None:
    listing = listing_of(sources.write_pad_ufes(tmp_path / "source"))
    groups = {Path(picture.path).stem.rpartition("_")[2]: picture.group for picture in listing.pictures}
    assert groups == {**dict.fromkeys("123", "PAT_46"), "4": "PAT_7", **dict.fromkeys("56", "PAT_8")}


def test_answers_of_patients_are_metadata_and_unknown_ones_empty(tmp_path: Path) -> None:
    listing = listing_of(sources.write_pad_ufes(tmp_path / "source"))
    cells = cells_of(listing, "PAT_46_881_1")
    assert (cells["itch"], cells["changed"], cells["fitspatrick"]) == ("False", "", "3.0")
    assert {"patient_id", "lesion_id", "img_id", "diagnostic"} & set(listing.columns) == set()


def test_a_picture_listed_twice_is_an_error(tmp_path: Path) -> None:
    row = sources.pad_ufes_row("PAT_1", "1", 1)
    with raises_code("conflicting-rows", "metadata.csv:3", "line 2"):
        listing_of(sources.write_pad_ufes(tmp_path / "source", (row, row)))


def test_a_row_without_diagnostic_is_an_error(tmp_path: Path) -> None:
    rows = (sources.pad_ufes_row("PAT_1", "1", 1, ""), sources.pad_ufes_row("PAT_2", "2", 1))
    with raises_code("invalid-table", "metadata.csv:2", "diagnostic"):
        listing_of(sources.write_pad_ufes(tmp_path / "source", rows))

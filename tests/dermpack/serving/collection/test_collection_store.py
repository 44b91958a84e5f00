"""Database, files and rules of a collection, in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, inspect, select, text
from sqlalchemy.exc import DatabaseError

from dermpack.cli import main
from dermpack.errors import DermpackError
from dermpack.serving.collection.agreement import cohen, fleiss, measure_collection
from dermpack.serving.collection.database import (
    Event,
    Removed,
    Submission,
    migrate,
    open_database,
    sqlite_url,
)
from dermpack.serving.collection.people import Identity, PersonRole, add_person, find_by_token
from dermpack.serving.collection.picture_folder import check_collection, finish_removals
from dermpack.serving.collection.reviews import (
    UNUSABLE,
    Opinion,
    Status,
    add_review,
    count_tasks,
    next_dispute,
    next_task,
    settle,
)
from dermpack.serving.collection.store import Collection, open_collection, open_store
from dermpack.serving.collection.submissions import (
    ModelAnswer,
    Receipt,
    SubmissionForm,
    read_consent,
    remove_expired,
    store_consent,
    store_submission,
    withdraw,
)
from dermpack.serving.settings import CollectionSettings
from tests.support.colour_model import LABELS, colour_contract
from tests.support.errors import raises_code
from tests.support.postgresql import postgresql_server

SQLITE = "sqlite"
POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.slow)


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Collection]:
    """An empty collection; PostgreSQL is a real server."""
    settings = CollectionSettings(data=tmp_path / "data")
    if request.param == SQLITE:
        with open_collection(settings, colour_contract()) as opened:
            yield opened
        return
    with (
        postgresql_server() as url,
        open_collection(replace(settings, database=url), colour_contract()) as opened,
    ):
        yield opened


def given(store: Collection, name: str, *, certainty: float = 0.5) -> Receipt:
    """Store a submission whose picture is the text, as if the model had answered nv with this certainty."""
    rest = (1 - certainty) / 2
    answer = ModelAnswer(probabilities={"nv": certainty, "mel": rest, "akiec": rest}, model_sha256="0" * 64)
    form = SubmissionForm(consent=store.consent.version, lesion=name)
    picture = name.encode()
    return store_submission(
        store.database, store.pictures, form=form, picture=picture, suffix=".png", answer=answer
    )


def person(store: Collection, name: str, role: PersonRole = PersonRole.REVIEWER) -> Identity:
    found = find_by_token(store.database, add_person(store.database, name, role))
    assert found is not None
    return found


def answer(store: Collection, who: Identity, receipt: Receipt, label: str) -> str:
    verdict = add_review(store.database, who, receipt.id, Opinion(label=label), labels=LABELS)
    return verdict.status


def test_the_queue_has_disputed_and_least_certain_pictures_first_and_none_twice(store: Collection) -> None:
    ann, ben, cleo = (person(store, name) for name in ("ann", "ben", "cleo"))
    receipts = {
        name: given(store, name, certainty=value) for name, value in (("a", 0.9), ("b", 0.4), ("c", 0.6))
    }
    answer(store, ann, receipts["a"], "nv")
    answer(store, ben, receipts["a"], "mel")

    def order(who: Identity, seed: int, review: str) -> list[str]:
        chance, seen = random.Random(seed), list[str]()
        while task := next_task(store.database, who, chance=chance):
            seen += [name for name, receipt in receipts.items() if receipt.id == task.id]
            answer(store, who, receipts[seen[-1]], review)
        return seen

    never_random = next(seed for seed in range(99) if min(_draws(seed, 4)) > 0.25)
    assert order(cleo, never_random, "akiec") == ["a", "b", "c"]
    assert order(ann, never_random, "nv") == ["b", "c"]  # a was seen, and is undecided now
    assert next_task(store.database, cleo, chance=random.Random(0)) is None
    measured = measure_collection(store.database)
    assert measured.submissions == {**dict.fromkeys(measured.submissions, 0), "disputed": 2, "undecided": 1}


def test_a_curator_who_has_seen_the_answers_of_others_does_not_review(store: Collection) -> None:
    curator = PersonRole.CURATOR
    ann, ben, cleo = person(store, "ann"), person(store, "ben"), person(store, "cleo", curator)
    dora = person(store, "dora", curator)
    shown, other = given(store, "a"), given(store, "b")
    for receipt in (shown, other):
        answer(store, ann, receipt, "nv")
        answer(store, ben, receipt, "mel")
    dispute, _ = next_dispute(store.database, cleo)
    assert next_dispute(store.database, cleo) == (dispute, 2)  # the page is opened again
    first = dispute.task.id if dispute else ""
    events = {"kind": "answers-shown", "person": "cleo", "submission_id": first}
    with store.database.reading() as session:
        assert len(session.scalars(select(Event).filter_by(**events)).all()) == 1
    seen, unseen = (shown, other) if first == shown.id else (other, shown)
    assert (count_tasks(store.database, cleo), count_tasks(store.database, dora)) == (1, 2)
    for seed in range(9):
        task = next_task(store.database, cleo, chance=random.Random(seed))
        assert task is not None and task.id == unseen.id
    with raises_code("already-reviewed"):
        answer(store, cleo, seen, "nv")
    assert answer(store, dora, seen, "nv") == "accepted"  # has not opened the page
    assert answer(store, cleo, unseen, "nv") == "accepted"
    with raises_code("already-reviewed"):  # others have settled it, which a curator can read in an export
        answer(store, cleo, seen, "nv")
    pairs = {(pair.first, pair.second) for pair in measure_collection(store.database).pairs}
    assert pairs == {(one, two) for one in ("ann", "ben") for two in ("ben", "cleo", "dora") if one != two}


def test_pictures_are_never_compared_with_another_database(store: Collection, tmp_path: Path) -> None:
    given(store, "kept")
    data = tmp_path / "data"
    with raises_code("collection-mismatch"), open_store(data, f"sqlite:///{tmp_path}/other.sqlite3"):
        pass
    assert [path.read_text() for path in store.pictures.path.iterdir()] == ["kept"]


def test_a_part_of_the_queue_is_random(store: Collection) -> None:
    ann, chance = person(store, "ann"), random.Random(7)
    names = {given(store, str(number), certainty=0.4 + number / 100).id: number for number in range(10)}
    tasks = [next_task(store.database, ann, chance=chance) for _ in range(60)]
    shown = [names[task.id] for task in tasks if task is not None]
    assert 0.6 < shown.count(0) / len(shown) < 0.95
    assert len(set(shown)) > 4


def test_at_most_one_of_equal_pictures_and_one_review_of_a_person_is_stored(store: Collection) -> None:
    ann, receipt = person(store, "ann"), given(store, "one")

    def attempt(number: int) -> str:
        try:
            if number % 2:
                given(store, "same")
            else:
                answer(store, ann, receipt, "nv")
        except DermpackError as error:
            return error.code
        return f"stored {number % 2}"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(attempt, range(16)))
    assert outcomes == ["already-reviewed"] * 7 + ["already-submitted"] * 7 + ["stored 0", "stored 1"]


def test_a_check_finds_and_repairs_what_a_kill_leaves(store: Collection) -> None:
    kept, changed, missing, removed = (
        given(store, name) for name in ("kept", "changed", "missing", "removed")
    )
    files = {path.read_text(): path for path in store.pictures.path.iterdir()}
    assert check_collection(store.database, store.pictures, is_repairing=False) == ()
    files["changed"].write_text("other")
    files["missing"].unlink()
    store.pictures.write("0" * 64 + ".png", b"its transaction did not end")
    with store.database.writing() as session:  # as if the server were killed in the middle of a withdrawal
        session.add(Removed(id=removed.id, at="", file_name=files["removed"].name))
        session.delete(session.get_one(Submission, removed.id))
    found = check_collection(store.database, store.pictures, is_repairing=False)
    expected = {
        "changed-file": changed.id,
        "missing-file": missing.id,
        "orphan": "",
        "unfinished-removal": removed.id,
    }
    assert {fault.kind: fault.submission_id for fault in found} == expected
    repaired = check_collection(store.database, store.pictures, is_repairing=True)
    assert {fault.kind for fault in repaired if fault.is_repaired} == {"orphan", "unfinished-removal"}
    left = {fault.kind for fault in check_collection(store.database, store.pictures, is_repairing=False)}
    assert left == {"changed-file", "missing-file"}
    assert files["kept"].exists()
    assert kept.id


def test_a_withdrawal_that_was_killed_is_finished_at_the_next_start(store: Collection) -> None:
    first, again = given(store, "first"), given(store, "again")
    files = {path.read_text(): path for path in store.pictures.path.iterdir()}
    with store.database.writing() as session:
        for receipt, name in ((first, "first"), (again, "again")):
            session.add(Removed(id=receipt.id, at="", file_name=files[name].name))
            session.delete(session.get_one(Submission, receipt.id))
    given(store, "again")  # the picture is given again before the file of the first time is deleted
    assert finish_removals(store.database, store.pictures) == 2
    assert [path.read_text() for path in store.pictures.path.iterdir()] == ["again"]
    assert check_collection(store.database, store.pictures, is_repairing=False) == ()


def test_what_is_too_old_is_removed_like_a_withdrawal(store: Collection) -> None:
    old, young = given(store, "old"), given(store, "young")
    ann = person(store, "ann")
    answer(store, ann, old, "nv")
    with store.database.writing() as session:
        session.get_one(Submission, old.id).received = "2020-01-01T00:00:00+00:00"
    assert remove_expired(store.database, store.pictures, keep_days=30) == 1
    with store.database.reading() as session:
        assert [row.id for row in session.query(Submission)] == [young.id]
        assert [row.id for row in session.query(Removed)] == [old.id]
    assert [path.read_text() for path in store.pictures.path.iterdir()] == ["young"]


@pytest.mark.parametrize("statement", ["UPDATE event SET person = 'x'", "DELETE FROM event"])
def test_the_log_cannot_be_changed(store: Collection, statement: str) -> None:
    withdraw_me = given(store, "logged")
    withdraw(store.database, store.pictures, submission_id=withdraw_me.id, code=withdraw_me.withdrawal_code)
    with pytest.raises(DatabaseError, match="append-only"), store.database.writing() as session:
        session.execute(text(statement))
    with store.database.reading() as session:
        kinds = session.scalars(text("SELECT kind FROM event ORDER BY id")).all()
    assert kinds == ["submitted", "withdrawn"]


def test_a_migration_happens_completely_or_not_at_all(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    with open_database(url) as database:
        engine = database._engine

        def add(connection: Connection) -> None:
            connection.execute(text("ALTER TABLE person ADD COLUMN mail VARCHAR(80)"))

        def fail(connection: Connection) -> None:
            connection.execute(text("CREATE TABLE half (id INTEGER)"))
            raise RuntimeError

        with pytest.raises(RuntimeError):
            migrate(engine, (add, fail), where="x")
        assert "half" not in inspect(create_engine(url)).get_table_names()
        assert "mail" not in [column["name"] for column in inspect(create_engine(url)).get_columns("person")]
        migrate(engine, (add,), where="x")
        migrate(engine, (add,), where="x")  # once only
        assert "mail" in [column["name"] for column in inspect(create_engine(url)).get_columns("person")]
    with raises_code("unsupported-schema"), open_database(url):
        pass


def test_a_foreign_file_or_a_server_that_does_not_answer_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "collection.sqlite3").write_bytes(b"not a database" * 100)
    with raises_code("invalid-format"), open_database(sqlite_url(tmp_path)):
        pass
    for url in ("nonsense", "mysql://u@h/d"):
        with raises_code("invalid-option"), open_database(url):
            pass
    url = f"postgresql://nobody:hidden@/none?host={tmp_path}"
    with raises_code("cannot-open-storage") as caught, open_database(url):
        pass
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["nv"], (Status.WAITING, "")),
        (["nv", "nv"], (Status.ACCEPTED, "nv")),
        (["nv", "mel"], (Status.DISPUTED, "")),
        (["nv", UNUSABLE], (Status.DISPUTED, "")),
        ([UNUSABLE, UNUSABLE], (Status.REFUSED, "")),
        (["nv", "mel", "mel"], (Status.ACCEPTED, "mel")),
        (["nv", "mel", "akiec"], (Status.UNDECIDED, "")),
    ],
)
def test_reviews_settle(labels: list[str], expected: tuple[Status, str]) -> None:
    assert settle(labels) == expected


def test_kappa_is_that_of_published_examples() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: Cohen's kappa is 0.4.
    answers = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen(answers).kappa == pytest.approx(0.4)
    # Ten subjects, 14 raters, five categories: Fleiss' kappa is 0.210.
    table = ["0 0 0 0 14", "0 2 6 4 2", "0 0 3 5 6", "0 3 9 2 0", "2 2 8 1 1", "7 7 0 0 0", "3 2 6 3 0"]
    table += ["2 5 3 2 2", "6 5 2 1 0", "0 2 2 3 7"]
    ratings = [
        [str(index) for index, count in enumerate(map(int, row.split())) for _ in range(count)]
        for row in table
    ]
    assert fleiss(ratings).kappa == pytest.approx(0.210, abs=0.0005)
    assert fleiss([]).kappa is None
    assert cohen([("a", "a")]).kappa is None


def test_a_text_of_a_consent_never_changes_under_its_version(store: Collection, tmp_path: Path) -> None:
    changed = replace(store.consent, text="another text")
    with raises_code("consent-changed"):
        store_consent(store.database, changed)
    for content in (b"no version\ntext", b"version: 1\n", b"\xff", b"version: a b\ntext"):
        (tmp_path / "consent.txt").write_bytes(content)
        with raises_code("invalid-consent"):
            read_consent(tmp_path / "consent.txt")


def test_people_and_the_check_have_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", str(tmp_path / "data"))
    assert main(["serve", "check", *data, "-q"]) == 1  # no collection
    assert main(["serve", "people", "add", "Ann Lee", "--role", "reviewer", *data, "-q"]) == 0
    token = capsys.readouterr().out.strip()
    assert token.startswith("dp_")
    assert main(["serve", "people", "add", "Ann Lee", "--role", "curator", *data, "-q"]) == 1
    assert main(["serve", "people", "revoke", "Ann Lee", *data, "-q"]) == 0
    assert main(["serve", "people", "revoke", "Ann Lee", *data, "-q"]) == 1
    capsys.readouterr()
    assert main(["serve", "people", "list", *data, "--json", "-q"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["people"]
    assert (listed["name"], listed["role"], listed["revoked"] is not None) == ("Ann Lee", "reviewer", True)
    assert main(["serve", "people", "add", "Ben Roy", "--role", "curator", *data, "-q"]) == 0
    capsys.readouterr()
    assert main(["serve", "people", "list", *data, "-q"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["Ann Lee", "Ben Roy"]
    (tmp_path / "data/pictures/left.png").write_bytes(b"x")
    assert main(["serve", "check", *data, "-q"]) == 1
    assert main(["serve", "check", *data, "--repair", "-q"]) == 0
    assert main(["serve", "check", *data, "-q"]) == 0
    written = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert token.encode() not in written


def test_the_name_of_a_command_is_also_a_folder_with_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", "export", "--data", "none"]) == 2  # the command, without an output
    Path("export").mkdir()
    assert main(["serve", "export", "--collect", "--data", "submissions", "-q"]) == 1
    assert "export" in capsys.readouterr().err  # not a model
    assert main(["serve", "export", "--data", "none", "-o", "accepted"]) == 1
    assert "error[collection-not-found]" in capsys.readouterr().err


def _draws(seed: int, count: int) -> list[float]:
    chance = random.Random(seed)
    return [chance.random() for _ in range(count)]

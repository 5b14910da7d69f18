"""What a notebook left in ``output.tar.gz``, listed and streamed by the API server: bounded, whatever it holds."""

import gzip
import io
import tarfile
import time
import tracemalloc

import pytest
from fakes import archive

from airflow_nbjobs.aws.results import archive as archive_
from airflow_nbjobs.aws.results import members as members_
from airflow_nbjobs.aws.results.archive import Wanted, read_archive
from airflow_nbjobs.aws.results.members import MissingMemberError, list_members, open_member


def listed(body):
    found = list_members(io.BytesIO(body))
    return {each.name: each.size_bytes for each in found.files}, found.notes


def special(name, kind, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_files_of_folders_are_listed_with_their_sizes():
    found, notes = listed(archive({"./": special("./", tarfile.DIRTYPE), "./a": b"12", "plots/b.png": b"", "c": b"3"}))
    assert found == {"a": 2, "plots/b.png": 0, "c": 1}
    assert notes == ()


def test_what_is_no_plain_file_below_the_folder_is_counted_and_not_offered():
    found, notes = listed(
        archive(
            {
                "fine": b"1",
                "../up": b"2",
                "/abs": b"3",
                "a/../../b": b"4",
                "link": special("link", tarfile.SYMTYPE, linkname="/etc/passwd"),
                "hard": special("hard", tarfile.LNKTYPE, linkname="fine"),
                "device": special("device", tarfile.CHRTYPE),
                "pipe": special("pipe", tarfile.FIFOTYPE),
                "n" * 2000: b"5",
            }
        )
    )
    assert found == {"fine": 1}
    assert notes == (
        "8 entries of output.tar.gz are not offered: links, devices, or files with holes or with names that lead elsewhere",
    )


def test_a_file_with_holes_is_not_offered_whatever_size_it_claims():
    """Its terabytes of zeros cost a header."""
    sparse = special("holes", tarfile.REGTYPE, size=0)
    sparse.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(2**50), "GNU.sparse.name": "holes"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(sparse, io.BytesIO())
    found, notes = listed(buffer.getvalue())
    assert (found, len(notes)) == ({}, 1)
    with pytest.raises(MissingMemberError):
        open_member(io.BytesIO(buffer.getvalue()), "holes")


def test_the_first_of_two_files_of_one_name_counts():
    body = archive([("x", b"first"), ("x", b"the second")])
    note = "1 entry of output.tar.gz has the name of one before it, which is offered"
    assert listed(body) == ({"x": 5}, (note,))
    assert b"".join(open_member(io.BytesIO(body), "x")[1]) == b"first"
    (note,) = listed(archive([("x", b"")] * 3))[1]
    assert note == "2 entries of output.tar.gz have names of others before them, which are offered"


def test_names_are_marked_and_found_by_their_marks():
    body = archive({"a\u202egnp.exe": b"1", "b\nc": b"22", "d#e?f %41": b"333"})
    assert listed(body)[0] == {"a⟦U+202E⟧gnp.exe": 1, "b␊c": 2, "d#e?f %41": 3}
    member, chunks = open_member(io.BytesIO(body), "a⟦U+202E⟧gnp.exe")
    assert (member.size_bytes, b"".join(chunks)) == (1, b"1")
    with pytest.raises(MissingMemberError, match="holds no"):
        open_member(io.BytesIO(body), "a\u202egnp.exe")


def test_more_files_than_are_listed_are_said(monkeypatch):
    monkeypatch.setattr(members_, "MOST_LISTED", 3)
    found, notes = listed(archive({f"f{number}": b"" for number in range(5)}))
    assert list(found) == ["f0", "f1", "f2"]
    assert notes == ("output.tar.gz holds more than 3 files; the archive has them all",)
    found, notes = listed(archive([*((name, b"") for name in "abc"), ("a", b"once more")]))
    assert (len(found), len(notes)) == (3, 1)
    assert "more than 3" not in notes[0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("_MOST_LOOKED_AT", 2, "more than 2 members"), ("_MOST_UNPACKED_BYTES", 2100, "more than 2100 bytes")],
)
def test_an_archive_is_read_only_so_far(monkeypatch, name, value, said):
    body = archive({"a": b"x", "b": b"y", "c": b"z" * 100})
    monkeypatch.setattr(members_, name, value)
    found, (note,) = listed(body)
    assert "a" in found
    assert "c" not in found
    assert said in note
    with pytest.raises(MissingMemberError, match=said):
        open_member(io.BytesIO(body), "c")


@pytest.mark.parametrize(
    ("name", "value"), [("_MOST_LOOKED_AT", 3), ("_MOST_UNPACKED_BYTES", 3072), ("MOST_LISTED", 3)]
)
def test_an_archive_of_just_the_limit_is_listed_without_a_note(monkeypatch, name, value):
    monkeypatch.setattr(members_, name, value)
    assert listed(archive({"a": b"x", "b": b"y", "c": b"z" * 100})) == ({"a": 1, "b": 1, "c": 100}, ())


def test_what_kept_the_rest_from_being_listed_is_told_beside_what_is_not_offered():
    body = archive([("a", b"x"), ("a", b"y"), ("../b", b""), ("c", bytes(range(256)) * 4000)])
    found, notes = listed(body[: len(body) // 2])
    assert found["a"] == 1
    assert [note.split(" of ")[0].split(" is ")[0] for note in notes] == ["output.tar.gz", "1 entry", "1 entry"]


def test_an_archive_that_is_cut_off_lists_what_there_is():
    body = archive({"a": b"x", "b": bytes(range(256)) * 4000})
    found, (note,) = listed(body[: len(body) // 2])
    assert "a" in found
    assert "damaged or cut off" in note
    assert listed(b"no archive at all")[0] == {}
    assert listed(b"")[0] == {}


def test_a_file_is_streamed_and_not_kept():
    body = archive({"before": bytes(3_000_000), "large": bytes(64 * 1024**2)})
    tracemalloc.start()
    try:
        member, chunks = open_member(io.BytesIO(body), "large")
        assert sum(len(chunk) for chunk in chunks) == member.size_bytes == 64 * 1024**2
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024**2


def block(kind, body=b"", name="header"):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % 512)


def records(count, start=0):
    found = []
    for number in range(start, start + count):
        record = b"k%07d=\n" % number
        found.append(b"%d %s" % (len(record) + 3, record))
    return b"".join(found)


def packed(*blocks):
    return gzip.compress(b"".join(blocks) + bytes(1024), compresslevel=1)


def file(name):
    return block(tarfile.REGTYPE, name=name)


def test_global_headers_that_would_be_copied_for_every_member_are_refused():
    """Fifty thousand names in one took 12 ms a member, and stayed in memory until the end."""
    body = packed(block(tarfile.XGLTYPE, records(50_000)), *(file(f"f{number}") for number in range(300)))
    started = time.thread_time()
    found, (note,) = listed(body)
    assert time.thread_time() - started < 1
    assert (found, "global headers of more than 4096 bytes" in note) == ({}, True)
    with pytest.raises(MissingMemberError, match="global headers"):
        open_member(io.BytesIO(body), "f0")
    # Many small ones come to as much.
    small = [part for number in range(300) for part in (block(tarfile.XGLTYPE, records(2, number)), file(f"f{number}"))]
    found, (note,) = listed(packed(*small))
    assert 0 < len(found) < 300
    assert "global headers" in note
    assert read_archive(io.BytesIO(body), (Wanted("f0", 10),)).members == {}


def test_a_global_header_as_git_writes_it_is_none_that_is_refused():
    comment = b"52 comment=" + b"a" * 40 + b"\n"
    assert listed(packed(block(tarfile.XGLTYPE, comment), file("a"))) == ({"a": 0}, ())


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_is_longer_than_any_name_is_not_searched(kind):
    """Digits alone: some Pythons search them in a time that grows with their square, and nothing else of the process runs meanwhile."""
    found, (note,) = listed(packed(file("a"), block(kind, b"1" * 100_000), file("b")))
    assert found == {"a": 0}
    assert "a header of more than 16384 bytes" in note


def test_an_archive_is_looked_through_only_so_long(monkeypatch):
    monkeypatch.setattr(members_, "_MOST_SECONDS", 0.0)
    body = packed(*(file(f"f{number}") for number in range(300)))
    found, (note,) = listed(body)
    assert len(found) < 300
    assert "takes more than 0 s to be looked through; the rest was not read" in note
    with pytest.raises(MissingMemberError, match="takes more than"):
        open_member(io.BytesIO(body), "f299")


def test_a_file_that_is_found_is_sent_whatever_time_that_takes(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(archive_.time, "thread_time", lambda: clock[0])
    _, chunks = open_member(io.BytesIO(archive({"large": bytes(3_000_000)})), "large")
    clock[0] = 1e6
    assert sum(map(len, chunks)) == 3_000_000


# -- words, and what is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (["../a"], "1 entry of output.tar.gz is not offered: "),
        (["../a", "/b"], "2 entries of output.tar.gz are not offered: "),
    ],
    ids=["one", "two"],
)
def test_what_is_not_offered_is_counted(refused, said):
    found, (note,) = listed(archive({"fine": b"1"} | dict.fromkeys(refused, b"")))
    assert found == {"fine": 1}
    assert note.startswith(said)


def test_folders_are_neither_offered_nor_counted():
    assert listed(archive({"plots": special("plots", tarfile.DIRTYPE)})) == ({}, ())


def test_what_tarfile_takes_for_the_end_is_told():
    whole = packed(file("a"))
    damaged = gzip.compress(gzip.decompress(whole)[:512] + b"\x07" * 512)
    found, (note,) = listed(damaged)
    assert list(found) == ["a"]
    assert note.startswith("output.tar.gz is damaged or cut off after")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(MissingMemberError, match=r"^output\.tar\.gz holds no 'b'$"):
        open_member(io.BytesIO(archive({"a": b"1"})), "b")


def test_a_file_behind_others_of_the_same_content_is_the_one_that_is_sent():
    member, chunks = open_member(io.BytesIO(archive({"a": b"1", "b": b"22", "c": b"333"})), "b")
    assert (member.name, member.size_bytes, b"".join(chunks)) == ("b", 2, b"22")

"""``output.tar.gz`` was written by a notebook: nothing in it is trusted, and what can be read is read."""

import gzip
import io
import random
import struct
import tarfile
import tracemalloc
import zlib
from itertools import count

import pytest
from fakes import archive

from airflow_nbjobs.aws.results import archive as archive_
from airflow_nbjobs.aws.results.archive import Wanted, read_archive

NB = Wanted("job.ipynb", 1000)
LOG = Wanted("job.log", 10, keeps_end=True)


def read(body, *wanted):
    return read_archive(io.BytesIO(body), wanted or (NB,))


class Counting(io.BytesIO):
    count = 0

    def read(self, size=-1):
        data = super().read(size)
        self.count += len(data)
        return data


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def test_wanted_members_at_the_root_are_read():
    content = read(archive({"other": b"x" * 5000, "job.ipynb": b"{}", "job.log": b"log"}), NB, LOG)
    assert content.members == {"job.ipynb": b"{}", "job.log": b"log"}
    assert content.problems == ()


@pytest.mark.parametrize("name", ["job.ipynb", "./job.ipynb"])
def test_both_forms_of_a_root_name_are_the_root(name):
    assert read(archive({name: b"{}"})).members == {"job.ipynb": b"{}"}


@pytest.mark.parametrize("name", ["../job.ipynb", "/job.ipynb", "sub/job.ipynb", "sub/../job.ipynb", "job.ipynb/x"])
def test_a_name_outside_the_root_is_not_the_member(name):
    content = read(archive({name: b"evil"}))
    assert content.members == {}


def test_the_first_of_two_members_of_one_name_counts():
    body = archive([("job.ipynb", b"first"), ("job.ipynb", b"second")])
    assert read(body).members == {"job.ipynb": b"first"}


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "other"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.DIRTYPE, ""),
    ],
)
def test_a_link_or_device_is_never_followed(kind, target):
    content = read(archive({"other": b"secret", "job.ipynb": special("job.ipynb", kind, target)}))
    assert content.members == {}
    assert "is not a regular file; it was not followed" in content.problems[0]


def test_a_member_beyond_its_limit_is_a_problem_with_both_sizes():
    content = read(archive({"job.ipynb": b"x" * 1001}))
    assert content.members == {}
    assert "has 1001 bytes; more than 1000 are not read" in content.problems[0]


def test_of_a_long_log_the_end_is_kept():
    content = read(archive({"job.log": b"0123456789ABCDEF"}), LOG)
    assert content.members == {"job.log": b"6789ABCDEF"}


def test_a_member_of_just_its_limit_is_whole():
    body = archive({"job.ipynb": b"x" * 1000, "job.log": b"0123456789"})
    content = read(body, NB, LOG)
    assert content.members == {"job.ipynb": b"x" * 1000, "job.log": b"0123456789"}
    assert content.problems == ()


@pytest.mark.parametrize("kept", [1, 1024**2 - 1, 1024**2, 1024**2 + 1, 1_500_000, 2 * 1024**2, 3_000_000, 4_000_000])
def test_of_a_log_of_megabytes_just_the_end_is_kept(kept):
    """It is read in pieces of a megabyte, of which the kept end may be more than one and less than two."""
    log = random.Random(2).randbytes(3_000_000)
    content = read(archive({"job.log": log}, level=1), Wanted("job.log", kept, keeps_end=True))
    assert content.members == {"job.log": log[-kept:]}


def test_a_log_without_end_takes_no_more_memory_than_is_kept_of_it():
    body = archive({"job.log": bytes(64 * 1024**2)}, level=1)
    tracemalloc.start()
    try:
        assert len(read(body, LOG).members["job.log"]) == 10
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024**2


def test_a_member_that_is_refused_leaves_the_others_and_a_later_one_of_its_name():
    body = archive([("job.ipynb", b"x" * 1001), ("job.ipynb", b"{}"), ("job.log", b"log")])
    content = read(body, NB, LOG)
    assert content.members == {"job.ipynb": b"{}", "job.log": b"log"}
    assert len(content.problems) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"no archive", gzip.compress(b"no tar" * 200, mtime=0), b"\x1f\x8b" + b"\xff" * 50],
    ids=["nothing", "no archive", "no tar", "broken"],
)
def test_what_is_no_archive_is_a_problem_not_an_exception(body):
    content = read(body)
    assert content.members == {}
    assert "output.tar.gz is damaged or cut off" in content.problems[0]


def test_every_truncation_of_an_archive_is_survived():
    body = archive({"a": bytes(range(256)) * 20, "job.ipynb": b"{}" * 400})
    whole = read(body)
    assert whole.problems == ()
    said = 0
    for length in range(0, len(body) - 8, 7):
        content = read(body[:length])
        assert content.members in ({}, whole.members)
        said += bool(content.problems)
    assert said > 10


def test_every_flipped_byte_of_an_archive_is_survived():
    body = bytearray(archive({"a": b"A" * 600, "job.ipynb": b"{}" * 400}))
    seen = 0
    for position in range(0, len(body), 3):
        body[position] ^= 0xFF
        content = read(bytes(body))
        seen += bool(content.problems)
        body[position] ^= 0xFF
    assert seen > 0


def test_what_was_read_before_the_damage_is_kept():
    """The driver writes the log last; a job killed while it uploads may still have its notebook."""
    noise = random.Random(1).randbytes(50_000)
    body = archive({"job.ipynb": b"{}", "job.log": noise})
    content = read(body[:20_000], NB, Wanted("job.log", 100_000))
    assert content.members == {"job.ipynb": b"{}"}
    assert "damaged or cut off" in content.problems[0]


def test_a_notebook_right_before_the_place_where_the_archive_is_cut_off_is_kept():
    noise = random.Random(1).randbytes(9000)
    body = archive({"job.ipynb": b"{}", "job.log": noise})
    content = read(body[:3000], NB, Wanted("job.log", 100_000))
    assert content.members == {"job.ipynb": b"{}"}


def test_more_members_than_the_limit_are_not_read(monkeypatch):
    monkeypatch.setattr(archive_, "MOST_MEMBERS", 10)
    content = read(archive({f"f{n}": b"" for n in range(11)} | {"job.ipynb": b"{}"}))
    assert content.members == {}
    assert "holds more than 10 members" in content.problems[0]


def test_as_many_members_as_the_limit_are_read(monkeypatch):
    monkeypatch.setattr(archive_, "MOST_MEMBERS", 11)
    content = read(archive({f"f{n}": b"" for n in range(10)} | {"job.ipynb": b"{}"}))
    assert (content.members, content.problems) == ({"job.ipynb": b"{}"}, ())


@pytest.mark.parametrize(("limit", "is_read"), [(1536, True), (1535, False)])
def test_an_archive_is_read_to_just_its_limit(monkeypatch, limit, is_read):
    """A header of 512 bytes and 1,000 bytes in two blocks."""
    monkeypatch.setattr(archive_, "MOST_UNPACKED_BYTES", limit)
    content = read(archive({"job.ipynb": b"x" * 1000}))
    assert (bool(content.members), bool(content.problems)) == (is_read, not is_read)


def test_an_archive_that_unpacks_to_too_much_is_not_read(monkeypatch):
    monkeypatch.setattr(archive_, "MOST_UNPACKED_BYTES", 5000)
    content = read(archive({"big": b"x" * 5001, "job.ipynb": b"{}"}))
    assert content.members == {}
    assert "unpacks to more than 5000 bytes" in content.problems[0]


def test_a_bomb_is_not_unpacked(monkeypatch):
    """10 MB of zeros fit into 10 KB; the member after them is not reached."""
    monkeypatch.setattr(archive_, "_RATIO_COUNTS_FROM_BYTES", 1024)
    content = read(archive({"zeros": bytes(10_000_000), "job.ipynb": b"{}"}))
    assert content.members == {}
    assert "unpacks to more than 500 times its size" in content.problems[0]


def test_the_time_that_a_reader_has_counts_within_a_member_as_well(monkeypatch):
    clock = count()
    monkeypatch.setattr(archive_.time, "thread_time", lambda: float(next(clock)))
    stream = Counting(archive({"large": random.Random(1).randbytes(2_000_000)}))
    with pytest.raises(archive_.ArchiveError, match="takes more than 5 s to be looked through; the rest was not read"):
        list(archive_.ArchiveReader(stream, seconds=5))
    assert stream.count < 1_500_000


def test_a_bomb_is_stopped_long_before_its_end(monkeypatch):
    monkeypatch.setattr(archive_, "_RATIO_COUNTS_FROM_BYTES", 1024**2)
    info = special("zeros", tarfile.REGTYPE)
    info.size = 500 * 2_000_000
    stream = Counting(gzip.compress(info.tobuf()) + gzip.compress(bytes(2_000_000)) * 500)
    content = read_archive(stream, (NB,))
    assert (content.members, len(content.problems)) == ({}, 1)
    # From Python 3.12 on gzip reads 128 KiB at a time.
    assert stream.count < 300_000 < len(stream.getvalue())


def test_a_bomb_of_many_small_members_is_stopped_as_well(monkeypatch):
    monkeypatch.setattr(archive_, "_RATIO_COUNTS_FROM_BYTES", 1024**2)
    content = read(archive({f"f{n}": bytes(100_000) for n in range(40)} | {"job.ipynb": b"{}"}))
    assert content.members == {}
    assert "unpacks to more than 500 times its size" in content.problems[0]


def test_a_header_that_claims_petabytes_costs_nothing():
    info = special("claimed", tarfile.REGTYPE)
    info.size = 2**50
    stream = Counting(archive({"claimed": info}))
    content = read_archive(stream, (NB,))
    assert content.problems == (f"output.tar.gz unpacks to more than {2**36} bytes; the rest was not read",)


def test_a_tiny_archive_that_declares_much_is_cut_off_and_no_bomb():
    info = special("claimed", tarfile.REGTYPE)
    info.size = 6 * 1024**3  # more than the ratio is measured from
    content = read(archive({"claimed": info}))
    assert content.members == {}
    assert "output.tar.gz is damaged or cut off after" in content.problems[0]


def packed_by(write, level=1):
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=level) as packed:
        write(packed)
        packed.write(bytes(2 * tarfile.BLOCKSIZE))
    return buffer.getvalue()


def add_member(packed, name, chunk, times=1):
    info = tarfile.TarInfo(name)
    info.size = len(chunk) * times
    packed.write(info.tobuf())
    for _ in range(times):
        packed.write(chunk)
    packed.write(bytes(-info.size % tarfile.BLOCKSIZE))


MODEL_CHUNK = random.Random(3).randbytes(1024**2)
HONEST = {
    "a model of 300 MiB": lambda packed: add_member(packed, "model.bin", MODEL_CHUNK, 300),
    "a model of 1.1 GiB": lambda packed: add_member(packed, "model.bin", MODEL_CHUNK, 1127),
    "1.1 GiB of zeros": lambda packed: add_member(packed, "untrained.bin", bytes(1024**2), 1127),
    "text of 1.1 GiB": lambda packed: add_member(packed, "big.csv", b"0,1,2,3\n" * 131_072, 1127),
}


@pytest.mark.parametrize(
    "kind", [name if "300" in name else pytest.param(name, marks=pytest.mark.slow) for name in HONEST]
)
def test_a_notebook_behind_a_large_member_is_handed_over(kind):
    """Its size is declared before a byte of it was read: held against what was read so far, it made a paid job fail for good."""

    def write(packed):
        HONEST[kind](packed)
        add_member(packed, "job.ipynb", b"{}")

    content = read(packed_by(write, level=0 if "model" in kind else 6))
    assert (content.members, content.problems) == ({"job.ipynb": b"{}"}, ())


def test_a_notebook_before_a_large_member_costs_nothing_of_that():
    stream = Counting(
        packed_by(lambda packed: (add_member(packed, "job.ipynb", b"{}"), add_member(packed, "m", MODEL_CHUNK, 4)))
    )
    assert read_archive(stream, (NB,)).members == {"job.ipynb": b"{}"}
    assert stream.count < 300_000


def test_the_notebook_is_kept_where_the_log_behind_it_is_not_reached(monkeypatch):
    monkeypatch.setattr(archive_, "_RATIO_COUNTS_FROM_BYTES", 1024**2)
    content = read(archive({"job.ipynb": b"{}", "zeros": bytes(50_000_000), "job.log": b"log"}), NB, LOG)
    assert content.members == {"job.ipynb": b"{}"}
    assert "unpacks to more than 500 times its size" in content.problems[0]


def sparse(kind, name, size, data):
    """A file of ``size`` bytes that holds ``data`` at its end and a hole before it, as GNU tar writes it."""
    info = tarfile.TarInfo(name)
    entry = f"{size - len(data):011o}\0{len(data):011o}\0".encode()
    if kind == "old GNU":
        info.type, info.size = tarfile.GNUTYPE_SPARSE, len(data)
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        header[386:410] = entry
        header[483:495] = f"{size:011o}\0".encode()
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
        body = data
    else:
        table = f"1\n{size - len(data)}\n{len(data)}\n".encode()
        body = table.ljust(512, b"\0") + data
        info.size = len(body)
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": name,
            "GNU.sparse.realsize": str(size),
        }
        header = info.tobuf(tarfile.PAX_FORMAT)
    return bytes(header) + body + bytes(-len(body) % tarfile.BLOCKSIZE)


@pytest.mark.parametrize("size", [3 * 1024**3, 7 * 1024**3])
@pytest.mark.parametrize("kind", ["old GNU", "PAX 1.0"])
def test_the_holes_of_a_sparse_file_are_not_in_the_archive_and_count_nothing(kind, size, monkeypatch):
    monkeypatch.setattr(archive_, "MOST_UNPACKED_BYTES", 1024**3)

    def write(packed):
        packed.write(sparse(kind, "disk.img", size, b"end"))
        add_member(packed, "job.ipynb", b"{}")

    content = read(packed_by(write))
    assert (content.members, content.problems) == ({"job.ipynb": b"{}"}, ())


@pytest.mark.parametrize("count", [11_000, pytest.param(110_000, marks=pytest.mark.slow)])
def test_a_notebook_behind_many_thousand_files_is_handed_over(count):
    """A data set that was unpacked beside the notebook."""

    def write(packed):
        packed.write(tarfile.TarInfo("x").tobuf() * count)
        add_member(packed, "job.ipynb", b"{}")

    assert read(packed_by(write)).members == {"job.ipynb": b"{}"}


def test_reading_stops_when_all_is_there():
    """The rest may be gigabytes of checkpoints."""
    stream = Counting(archive({"job.ipynb": b"{}", "rest": random.Random(1).randbytes(3_000_000)}))
    assert read_archive(stream, (NB,)).members == {"job.ipynb": b"{}"}
    assert stream.count < 200_000


def test_a_failing_connection_is_no_damaged_archive():
    """Results that could not be *fetched* are worth a retry; damaged ones are not."""

    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise RuntimeError("connection lost")

    with pytest.raises(RuntimeError, match="connection lost"):
        read_archive(Broken(), (NB,))


def header_chain(kind, count, size=0):
    """Headers that claim to describe the next member, one after the other."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as packed:
        for _ in range(count):
            info = tarfile.TarInfo("x")
            info.type, info.size = kind, size
            packed.write(info.tobuf(tarfile.USTAR_FORMAT))
            for _ in range(-(-size // 1024**2)):
                packed.write(bytes(1024**2))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_long_name_without_end_is_not_read_into_memory(kind):
    """``tarfile`` reads such a header whole before it shows the member: one of gigabytes, packed a few megabytes, would fill the worker."""
    tracemalloc.start()
    try:
        content = read(header_chain(kind, 1, size=128 * 1024**2))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert content.members == {}
    assert "a header of more than 4194304 bytes" in content.problems[0]
    assert peak < 64 * 1024**2


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_extended_headers_without_end_are_damage(kind):
    content = read(header_chain(kind, 5000))
    assert content.members == {}
    assert "damaged or cut off" in content.problems[0]


def test_many_members_take_no_memory_of_their_own():
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as packed:
        block = tarfile.TarInfo("x").tobuf()
        packed.write(block * 8000)  # half a kilobyte each in `tarfile`'s own list
    tracemalloc.start()
    try:
        content = read(buffer.getvalue())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert content.members == {}
    assert peak < 2 * 1024**2


def test_a_member_behind_a_long_name_of_honest_size_is_read():
    """A path of 50,000 characters is odd, and no attack."""
    content = read(archive({"sub/" + "x" * 50_000: b"1", "job.ipynb": b"{}"}))
    assert (content.members, content.problems) == ({"job.ipynb": b"{}"}, ())


# -- what `tarfile` takes for the end ------------------------------------------------------------------------------------


def packed(*members, pax=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, (name, body) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            if pax is not None and number == 0:
                info.pax_headers = pax
            tar.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


TAR = packed(("model.bin", b"0123456789"), ("n.ipynb", b"{}"))
NOTEBOOK = (Wanted("n.ipynb", 1000),)


@pytest.mark.parametrize(
    "unpacked",
    [
        *(packed(("model.bin", b"0123456789"), ("n.ipynb", b"{}"), pax={"size": size}) for size in ("-5", "1e5", "x")),
        TAR[:1024] + b"\x07" * 512 + TAR[1536:],
        TAR[:1024] + b"n.ipynb",
        TAR[:1024],
    ],
    ids=["size below 0", "size as 1e5", "size as a word", "a header of noise", "a cut header", "no end mark"],
)
def test_an_archive_that_is_damaged_behind_its_first_member_is_said_to_be(unpacked):
    """Python's tarfile takes it for the end: the notebook would count as not in it."""
    content = read_archive(io.BytesIO(gzip.compress(unpacked)), NOTEBOOK)
    assert content.members == {}
    assert [problem.startswith("output.tar.gz is damaged or cut off after") for problem in content.problems] == [True]


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(TAR) + b"trailing garbage" * 100,
        gzip.compress(TAR) + bytes(5000),
        b"".join(gzip.compress(TAR[start : start + 700]) for start in range(0, len(TAR), 700)),
        gzip.compress(b"") + gzip.compress(TAR),
        gzip.compress(TAR) + gzip.compress(packed(("b", b"b"))),
    ],
    ids=["garbage behind", "zeros behind", "many members of gzip", "an empty member of gzip", "two archives"],
)
def test_what_is_around_an_archive_does_not_matter(body):
    assert read_archive(io.BytesIO(body), NOTEBOOK).members == {"n.ipynb": b"{}"}


def test_of_one_place_of_damage_there_is_one_problem_and_none_of_what_was_found_before():
    damaged = gzip.compress(TAR[:2048] + b"\x07" * 512 + TAR[2560:])
    content = read_archive(io.BytesIO(damaged), (*NOTEBOOK, Wanted("job.log", 1000)))
    assert (content.members, len(content.problems)) == ({"n.ipynb": b"{}"}, 1)
    content = read_archive(io.BytesIO(damaged), NOTEBOOK)
    assert (content.members, content.problems) == ({"n.ipynb": b"{}"}, ())


def test_what_lies_before_a_file_that_nobody_wants_can_be_read_member_by_member():
    reader = archive_.ArchiveReader(
        io.BytesIO(archive({"a": b"1" * 2_500_000, "dir": special("dir", tarfile.DIRTYPE)}))
    )
    read_sizes = {member.name: [len(chunk) for chunk in reader.read(member)] for member in reader}
    assert read_sizes == {"a": [1024**2, 1024**2, 2_500_000 - 2 * 1024**2], "dir": []}


def test_an_archive_without_the_notebook_is_not_damaged():
    content = read_archive(io.BytesIO(gzip.compress(packed(("model.bin", b"1")))), NOTEBOOK)
    assert (content.members, content.problems) == ({}, ())


@pytest.mark.parametrize(
    "error",
    [
        tarfile.HeaderError("x"),
        gzip.BadGzipFile("x"),
        zlib.error("x"),
        EOFError("x"),
        OSError("x"),
        ValueError("x"),
        struct.error("x"),
        OverflowError("x"),
        IndexError("x"),
        AttributeError("x"),
        TypeError("x"),
        RecursionError("x"),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_whatever_tarfile_raises_for_odd_headers_is_damage(error):
    class Odd(io.BytesIO):
        def read(self, size=-1):
            raise error

    (problem,) = read_archive(Odd(), (NB,)).problems
    assert problem.startswith("output.tar.gz is damaged or cut off after 0 bytes (")
    assert problem.endswith(": x)")


@pytest.mark.parametrize(("seconds", "is_enough"), [(5, True), (4.9, False)])
def test_a_reader_has_just_the_time_that_it_was_given(monkeypatch, seconds, is_enough):
    clock = [0.0]
    monkeypatch.setattr(archive_.time, "thread_time", lambda: clock[0])
    reader = archive_.ArchiveReader(io.BytesIO(archive({"a": b"1"})), seconds=seconds)
    clock[0] = 5.0
    if is_enough:
        assert [member.name for member in reader] == ["a"]
        return
    with pytest.raises(archive_.ArchiveError, match=r"takes more than 4\.9 s to be looked through"):
        list(reader)


def test_a_reader_without_a_time_takes_as_long_as_it_takes(monkeypatch):
    clock = count(step=1_000_000)
    monkeypatch.setattr(archive_.time, "thread_time", lambda: float(next(clock)))
    assert [member.name for member in archive_.ArchiveReader(io.BytesIO(archive({"a": b"1"})))] == ["a"]


@pytest.mark.parametrize(
    ("limit", "names"),
    [({"most_members": 2}, ["a", "b"]), ({"most_members": 0}, []), ({"most_bytes": 2048}, ["a", "b"])],
    ids=str,
)
def test_what_was_given_to_a_reader_counts_before_the_usual_limits(limit, names):
    reader = iter(archive_.ArchiveReader(io.BytesIO(archive({"a": b"1", "b": b"2", "c": bytes(3000)})), **limit))
    assert [next(reader).name for _ in names] == names
    with pytest.raises(archive_.ArchiveError, match="the rest was not read"):
        next(reader)


def test_a_ratio_is_bounded_only_from_some_gigabytes_on():
    """Zeros may be an honest model that was never trained."""
    content = read(archive({"zeros": bytes(50_000_000), "job.ipynb": b"{}"}))
    assert (content.members, content.problems) == ({"job.ipynb": b"{}"}, ())

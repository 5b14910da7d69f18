"""
Run one command as the container of a training job, with no Docker: namespaces where the kernel gives them, else a supervised process tree.

Started as a script by ``run.py`` (``python -I -S isolation.py SPEC.json``), one process for each job; standard library only, because it runs
before, and apart from, everything else. It must never import the package.

The process tree, and who ends whom, so that no job outlives the server::

    server ──(control pipe; parent-death signal)── outer ──(parent-death signal; life pipe)── init, PID 1 ── entrypoint ── kernel …

``init`` exists only in the namespace ways: a PID namespace dies with its PID 1. In the ways ``none`` and ``direct`` the outer process is the
supervisor: it adopts orphans (Linux) and kills the whole tree.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SETUP_FAILED = 70  # EX_SOFTWARE: our exit code when the container could not be made; the reason is on the status pipe
KILLED = 128 + signal.SIGKILL
_FORWARDED = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """
    What the container is; written as JSON by the server.

    :param way: ``userns``, ``root``, ``none`` or ``direct``.
    :param root: empty directory of the job: mount point of the private file system tree.
    :param opt_ml: directory that becomes ``/opt/ml``.
    :param tmp: directory that becomes ``/tmp``.
    :param home: directory that becomes ``/home/sagemaker-user``.
    :param keep: paths below ``/tmp`` that stay visible: the Python environment and its interpreter.
    :param has_network: otherwise only a loopback interface of its own, which Jupyter needs to reach its kernel.
    :param environment: the entrypoint's whole environment.
    :param server_pid: who may not die before us.
    :param control_fd: read end of a pipe that the server holds open; its end means "kill everything".
    :param status_fd: write end of a pipe: JSON with the reason, if the container cannot be made or the entrypoint cannot be executed.
    """

    way: str
    root: str
    opt_ml: str
    tmp: str
    home: str
    keep: tuple[str, ...]
    argv: tuple[str, ...]
    cwd: str
    has_network: bool
    environment: dict[str, str]
    server_pid: int
    control_fd: int
    status_fd: int


class _System:
    """The few system calls that Python 3.11 does not have; each raises ``OSError`` naming what failed."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _check(self, result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")

    def unshare(self, flags: int) -> None:
        self._check(self._libc.unshare(flags), f"unshare({flags:#x})")

    def prctl(self, option: int, value: int) -> None:
        self._check(self._libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl({option})")

    def mount(self, source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
        arguments = (
            source.encode(),
            target.encode(),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            data.encode() or None,
        )
        self._check(self._libc.mount(*arguments), f"mount {source} on {target}")

    def bind(self, source: str, target: str) -> None:
        self.mount(source, target, flags=MS_BIND | MS_REC)

    def pivot_root(self, new: str, old: str) -> None:
        self._check(self._libc.pivot_root(new.encode(), old.encode()), f"pivot_root {new}")

    def detach(self, target: str) -> None:
        self._check(self._libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def main(spec_path: str) -> int:
    fields = json.loads(Path(spec_path).read_bytes())
    spec = ContainerSpec(**{**fields, "keep": tuple(fields["keep"]), "argv": tuple(fields["argv"])})
    os.set_inheritable(spec.control_fd, False)
    os.set_inheritable(spec.status_fd, False)
    # A stop that comes before the entrypoint runs must be kept, not lost: PID 1 of a namespace ignores what it has no handler for.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    try:
        return _run_supervised(spec) if spec.way in {"none", "direct"} else _run_in_namespaces(spec)
    except OSError as error:
        _report(spec, "setup", error)
        return SETUP_FAILED


def _run_in_namespaces(spec: ContainerSpec) -> int:
    system = _System()
    _die_with_server(system, spec)
    flags = CLONE_NEWNS | CLONE_NEWPID | (0 if spec.has_network else CLONE_NEWNET)
    if spec.way == "userns":
        with _id_mapping():
            system.unshare(flags | CLONE_NEWUSER)
    else:
        system.unshare(flags)
    # The kernel forgets the parent-death signal when a process gains capabilities, as unshare(CLONE_NEWUSER) makes it.
    _die_with_server(system, spec)
    life_read, life_write = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(life_write)
        os._exit(_guarded(spec, lambda: _init(system, spec, life_read)))
    os.close(life_read)
    os.close(spec.status_fd)
    return _wait(spec, init, kill=lambda: _kill(init))


def _die_with_server(system: _System, spec: ContainerSpec) -> None:
    system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != spec.server_pid:  # it died before the line above took effect
        os._exit(KILLED)


@contextlib.contextmanager
def _id_mapping() -> Iterator[None]:
    """
    Become root of the user namespace that the block makes.

    The real root keeps all ids, so that ``chown`` and ``tar`` work as in a container; such a map can be written only from outside the new namespace.
    A user can map only itself, which it does from inside.
    """
    uid, gid = os.getuid(), os.getgid()
    if uid:
        yield
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        return
    unshared_read, unshared_write = os.pipe()
    target = os.getpid()
    mapper = os.fork()
    if mapper == 0:
        os.close(unshared_write)
        os.read(unshared_read, 1)
        with contextlib.suppress(OSError):
            for name in ("uid_map", "gid_map"):
                Path(f"/proc/{target}/{name}").write_text("0 0 4294967295")
        os._exit(0)
    os.close(unshared_read)
    try:
        yield
    finally:
        os.close(unshared_write)
        os.waitpid(mapper, 0)


def _init(system: _System, spec: ContainerSpec, life_read: int) -> int:
    """PID 1: make the private tree, run the entrypoint, forward signals, reap orphans. Its end ends everything in the namespace."""
    system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # getppid() is 0 in here, so whether the outer process still lives is read off a pipe that only it holds.
    if select.select([life_read], [], [], 0)[0]:
        return KILLED
    if not spec.has_network:
        _bring_loopback_up()
    _build_tree(system, spec)
    child = _spawn(spec)
    os.close(spec.status_fd)
    return _wait(spec, child, kill=lambda: None, watch_control=False)


def _bring_loopback_up() -> None:
    request = struct.pack("16sH14x", b"lo", IFF_UP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)


def _build_tree(system: _System, spec: ContainerSpec) -> None:
    """
    Make a root directory whose entries are the host's, but ``/opt/ml``, ``/tmp``, ``/home/sagemaker-user`` and ``/proc`` are the job's own.

    Everything else of ``/opt`` and ``/home`` stays visible, because the Python environment may live there; it is not protected.
    """
    root = spec.root
    system.mount("none", "/", flags=MS_REC | MS_PRIVATE)
    system.mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for name in _names("/"):
        if name not in {"opt", "home", "tmp", "proc"}:
            _mirror(system, f"/{name}", f"{root}/{name}")
    for parent, own, source in (("opt", "ml", spec.opt_ml), ("home", "sagemaker-user", spec.home)):
        Path(root, parent).mkdir()
        for name in _names(f"/{parent}"):
            if name != own:
                _mirror(system, f"/{parent}/{name}", f"{root}/{parent}/{name}")
        Path(root, parent, own).mkdir()
        system.bind(source, f"{root}/{parent}/{own}")
    Path(root, "tmp").mkdir()
    system.bind(spec.tmp, f"{root}/tmp")  # noqa: S108 - the container's own
    for path in spec.keep:
        Path(root + path).mkdir(parents=True, exist_ok=True)
        system.bind(path, root + path)
    Path(root, "proc").mkdir()
    system.mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.chdir(root)
    system.pivot_root(".", ".")  # the old root then lies above the new one, at the same place
    system.detach(".")
    os.chdir("/")


def _names(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()] if Path(folder).is_dir() else []


def _mirror(system: _System, source: str, target: str) -> None:
    if Path(source).is_symlink():
        Path(target).symlink_to(Path(source).readlink())
        return
    if Path(source).is_dir():
        Path(target).mkdir()
    elif Path(source).exists():
        Path(target).touch()
    else:
        return
    # What the user may not see (a FUSE mount of another user, say) stays an empty place.
    with contextlib.suppress(PermissionError):
        system.bind(source, target)


def _run_supervised(spec: ContainerSpec) -> int:
    """Run the entrypoint without namespaces; when the server dies, the control pipe ends and this process, which must outlive it, kills the tree."""
    if sys.platform == "linux":
        _System().prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = _spawn(spec, own_session=True)
    os.close(spec.status_fd)
    code = _wait(spec, child, kill=_kill_descendants)
    _kill_descendants()
    return code


def _spawn(spec: ContainerSpec, *, own_session: bool = False) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    if own_session:
        os.setsid()
        if sys.platform == "linux":
            _System().prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(KILLED)
    return _exec(spec)


def _exec(spec: ContainerSpec) -> NoReturn:
    for number in (*_FORWARDED, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    try:
        os.chdir(spec.cwd)
        os.execvpe(spec.argv[0], spec.argv, spec.environment)  # noqa: S606 - running what the job names is the purpose
    except OSError as error:
        _report(spec, "exec", error)
    os._exit(127)


def _wait(spec: ContainerSpec, child: int, *, kill: Callable[[], None], watch_control: bool = True) -> int:
    """Forward signals to ``child`` and reap others until it ends; the end of the control pipe kills. Returns the exit code, 128 + n for a signal."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in _FORWARDED:
        signal.signal(number, lambda received, _: _kill(child, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    watched = [wake_read, spec.control_fd] if watch_control else [wake_read]
    while True:
        status = _reap(child)
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        ready, _, _ = select.select(watched, [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
        if spec.control_fd in ready:
            kill()
            watched = [wake_read]


def _reap(child: int) -> int | None:
    """Collect everything that has ended; the wait status of ``child``, if it is among it."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return KILLED << 8
        if pid in (0, child):
            return status if pid else None


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _kill_descendants() -> None:
    """Kill every process below this one, until none is left or two seconds have passed (a process in an uninterruptible wait)."""
    deadline = time.monotonic() + 2
    while pids := _descendants(os.getpid()):
        for pid in pids:
            _kill(pid)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


def _descendants(ancestor: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _processes():
        children.setdefault(parent, []).append(pid)
    found, todo = [], [ancestor]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _processes() -> list[tuple[int, int]]:
    """Return (pid, parent) of every process that still runs: from ``/proc``, or from ``ps`` where there is none (macOS)."""
    if not Path("/proc/self/stat").exists():
        with subprocess.Popen(
            ["/bin/ps", "-A", "-o", "pid=,ppid=,stat="], stdout=subprocess.PIPE, text=True
        ) as listing:
            rows = [line.split(None, 2) for line in (listing.stdout or ())]
        return [(int(pid), int(parent)) for pid, parent, state in rows if int(pid) != listing.pid and state[0] != "Z"]
    found = []
    for entry in _names("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                # "pid (name) state ppid …"; the name may hold blanks and brackets
                state, parent = Path("/proc", entry, "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
                if state != "Z":
                    found.append((int(entry), int(parent)))
    return found


def _guarded(spec: ContainerSpec, body: Callable[[], int]) -> int:
    """A forked child must never fall back into its parent's code."""
    try:
        return body()
    except OSError as error:
        _report(spec, "setup", error)
        return SETUP_FAILED


def _report(spec: ContainerSpec, stage: str, error: OSError) -> None:
    report: dict[str, Any] = {"stage": stage, "errno": error.errno, "text": str(error)}
    with contextlib.suppress(OSError):
        os.write(spec.status_fd, json.dumps(report).encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

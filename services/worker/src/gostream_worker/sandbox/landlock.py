"""Landlock through ctypes: limits the files and ports of a process.

Source: Linux, userspace-api/landlock.rst. Imported by the launcher, so it uses only the standard library.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _TRUNCATE, _IOCTL_DEV = 1 << 5, 1 << 8, 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1

READ = _READ_FILE | _READ_DIR
RUN = _READ_FILE | _EXECUTE
WRITE = READ | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Returns the kernel's Landlock version, 0 without Landlock."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def restrict(rights: Iterable[tuple[str, int]], *, port: int | None) -> int:
    """Limits this process permanently to the rights below those paths and to TCP connections to `port`.

    Missing paths are skipped. Returns the ABI in force; 0: the kernel has no Landlock and nothing is
    restricted. ABI 4 restricts TCP, ABI 6 signals and abstract sockets. Raises OSError.
    """
    version = abi()
    if version == 0:
        return 0
    files, net, scoped = _handled(version)
    ruleset = struct.pack("QQQ", files, net, scoped)[: 8 if version < 4 else 16 if version < 6 else 24]
    descriptor = _call(_CREATE_RULESET, ruleset, ctypes.c_size_t(len(ruleset)), 0)
    try:
        for path, wanted in rights:
            _allow_path(descriptor, path, wanted & files)
        if port is not None and net:
            _call(_ADD_RULE, descriptor, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
        _call(_RESTRICT_SELF, descriptor, 0)
    finally:
        os.close(descriptor)
    return version


def _handled(version: int) -> tuple[int, int, int]:
    """Returns the rights that this version can restrict: files, network, scopes."""
    files = (1 << 13) - 1
    for least, right in ((2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        files |= right if version >= least else 0
    net = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if version >= 6 else 0
    return files, net, scoped


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"landlock: system call {number}")
    return result

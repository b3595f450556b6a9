"""A seccomp filter through ctypes: limits the system calls of a child.

Source: Linux, userspace-api/seccomp_filter.rst. Imported by the launcher, so it uses only the standard
library. It lists denied calls instead of allowed ones: the calls of a C library and an interpreter differ by
version, and a call missing from an allow-list would fail an encode months later. Landlock restricts files and
ports.
"""

import ctypes
import os
import platform
import struct

#: System calls denied with EPERM, by name: (x86-64, aarch64). None = not available.
DENIED: dict[str, tuple[int | None, int | None]] = {
    # other processes
    "fork": (57, None), "vfork": (58, None), "execveat": (322, 281), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272), "tkill": (200, 130),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
    # other users' files: Landlock has no rule for modes, owners, times, attributes and watches
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    # memory and messages shared with other processes
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # sockets, except for one permitted connection
    "socketpair": (53, 199), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # large or privileged parts of the kernel
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "unshare": (272, 97), "setns": (308, 268),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "quotactl": (179, 60),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "personality": (135, 92),
}  # fmt: skip
#: System calls denied for some values of an argument: (x86-64, aarch64), the argument, the values.
DENIED_VALUES: dict[str, tuple[tuple[int, int], int, dict[str, int]]] = {
    # options that protect the worker from this process and this process from others
    "prctl": ((157, 167), 0, {
        "PR_SET_PDEATHSIG": 1, "PR_SET_DUMPABLE": 4, "PR_SET_MM": 35, "PR_SET_PTRACER": 0x59616D61,
    }),
    # signals sent by a file descriptor, which bypass the rules for `kill`
    "fcntl": ((72, 25), 1, {
        "F_SETOWN": 8, "F_SETSIG": 10, "F_SETOWN_EX": 15, "F_SETLEASE": 1024, "F_NOTIFY": 1026,
    }),
    # the same through ioctl, and input to the worker's terminal
    "ioctl": ((16, 29), 1, {
        "FIOSETOWN": 0x8901, "SIOCSPGRP": 0x8902, "FIOASYNC": 0x5452,
        "TIOCSTI": 0x5412, "TIOCLINUX": 0x541C, "TIOCSCTTY": 0x540E, "TIOCSPGRP": 0x5410,
    }),
}  # fmt: skip
_SOCKET, _CONNECT, _CLONE, _CLONE3 = (41, 198), (42, 203), (56, 220), (435, 435)
_SENDTO, _MSG_FASTOPEN = (44, 206), 0x20000000
_KILL, _TGKILL, _PRLIMIT = (62, 129), (234, 131), (302, 261)
#: AUDIT_ARCH of both, in the same order.
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32_BIT = 0x40000000
_CLONE_THREAD, _AF_INET, _SOCK_STREAM, _SOCK_TYPE_MASK = 0x10000, 2, 1, 0xF
_IPPROTO_TCP = 6

_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _KILL_PROCESS, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x50001, 0x50026
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER, _PR_GET_SECCOMP = 38, 22, 2, 21

_libc = ctypes.CDLL(None, use_errno=True)


def is_supported() -> bool:
    """Returns whether the filter can be installed on this machine."""
    return platform.machine() in _MACHINES and _libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def restrict(*, may_connect: bool) -> bool:
    """Installs the filter in this process permanently. Returns False if it is unsupported.

    Denies the calls of DENIED, the argument values of DENIED_VALUES, other processes, signals to other
    processes, and sockets; with `may_connect` TCP over IPv4 is allowed. Raises OSError.
    """
    if not is_supported():
        return False
    program = b"".join(_program(*_MACHINES[platform.machine()], pid=os.getpid(), may_connect=may_connect))
    buffer = ctypes.create_string_buffer(program)
    described = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(
        _PR_SET_SECCOMP, _FILTER, described, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp")
    return True


def _program(column: int, architecture: int, *, pid: int, may_connect: bool) -> list[bytes]:
    """Builds classic BPF. Each rule leaves the call's number in the accumulator."""
    denied = [numbers[column] for numbers in DENIED.values()]
    if not may_connect:
        denied += [_SOCKET[column], _CONNECT[column]]
    program = [
        *(_step(_LOAD, _ARCH), _step(_JUMP_EQUAL, architecture, 1, 0), _step(_RETURN, _KILL_PROCESS)),
        _step(_LOAD, _NUMBER),
    ]
    if column == 0:
        program += [_step(_JUMP_ABOVE, _X32_BIT, 0, 1), _step(_RETURN, _KILL_PROCESS)]
    for number in denied:
        if number is not None:
            program += [_step(_JUMP_EQUAL, number, 0, 1), _step(_RETURN, _EPERM)]
    program += [_step(_JUMP_EQUAL, _CLONE3[column], 0, 1), _step(_RETURN, _ENOSYS)]  # then libc uses clone
    program += _unless(_CLONE[column], _argument(0), _step(_JUMP_SET, _CLONE_THREAD, 1, 0))
    for call in (_KILL, _TGKILL):
        program += _unless(call[column], _argument(0), _step(_JUMP_EQUAL, pid, 1, 0))
    program += _unless(
        _PRLIMIT[column], _argument(0), _step(_JUMP_EQUAL, 0, 2, 0), _step(_JUMP_EQUAL, pid, 1, 0)
    )
    for numbers, argument, values in DENIED_VALUES.values():
        program += _unless(numbers[column], _argument(argument), *_none_of(list(values.values())))
    if may_connect:
        tcp = (
            _step(_LOAD, _ARGUMENTS + 8),
            _step(_AND, _SOCK_TYPE_MASK),
            _step(_JUMP_EQUAL, _SOCK_STREAM, 1, 0),
        )
        program += _unless(_SOCKET[column], _argument(0), _step(_JUMP_EQUAL, _AF_INET, 1, 0))
        program += _unless(_SOCKET[column], *tcp)
        # MPTCP (262) has the same family and type, and Landlock has no rule for it.
        program += _unless(
            _SOCKET[column], _argument(2), _step(_JUMP_EQUAL, 0, 2, 0), _step(_JUMP_EQUAL, _IPPROTO_TCP, 1, 0)
        )
        # TCP Fast Open connects by sending, past Landlock: deny the flag, so that only `connect` connects.
        program += _unless(
            _SENDTO[column], _argument(3), _step(_AND, _MSG_FASTOPEN), _step(_JUMP_EQUAL, 0, 1, 0)
        )
    return [*program, _step(_RETURN, _ALLOW)]


def _argument(number: int) -> bytes:
    """Loads the lower half of an argument: both machines are little-endian, and the kernel reads an int."""
    return _step(_LOAD, _ARGUMENTS + 8 * number)


def _unless(number: int, *condition: bytes) -> list[bytes]:
    """Denies that call unless the condition holds, which jumps over the denial."""
    return [
        _step(_JUMP_EQUAL, number, 0, len(condition) + 2),
        *condition,
        _step(_RETURN, _EPERM),
        _step(_LOAD, _NUMBER),
    ]


def _none_of(values: list[int]) -> list[bytes]:
    """Returns the condition that the accumulator has no value of this list."""
    last = len(values) - 1
    return [
        _step(_JUMP_EQUAL, value, last - index, 1 if index == last else 0)
        for index, value in enumerate(values)
    ]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)

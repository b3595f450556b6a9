"""Forks probing children: `python -m gostream_worker.probe.forking.server CPU_SECONDS OPEN_FILES`.

The numbers are limits of each child. stdin is a socket for requests.
A request is one byte and four descriptors: stdin, stdout and stderr of the child, and a socket for its exit
code, which is reported in decimal. When the worker closes its end of that socket, the child is killed. This
process reads no source. It has imported all that a child needs, has one thread, and exits after its last
child once the worker closes the socket of requests.
"""

import ctypes
import os
import resource
import selectors
import signal
import socket
import sys
import traceback

from gostream_worker.probe import child

_PR_SET_PDEATHSIG = 1
#: Loaded before the fork.
_libc = ctypes.CDLL(None, use_errno=True)


class Server:
    """The children of this process, by pid, and the socket for the exit code of each."""

    def __init__(self, requests: socket.socket, *, cpu_seconds: int, open_files: int) -> None:
        self._requests = requests
        self._limits = {resource.RLIMIT_CPU: cpu_seconds, resource.RLIMIT_NOFILE: open_files}
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)
        self._children: dict[int, socket.socket] = {}
        self._is_open = True
        self._ended, self._ends = socket.socketpair()
        for end in (self._ended, self._ends):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._ends.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._ended, selectors.EVENT_READ)

    def run(self) -> None:
        """Serves until the socket of requests is closed and no child is left."""
        while self._is_open or self._children:
            for key, _ in self._selector.select():
                if key.fileobj is self._requests:
                    self._take()
                elif key.fileobj is self._ended:
                    self._ended.recv(4096)
                elif isinstance(key.data, int):
                    self._kill(key.data)
            self._reap()

    def _take(self) -> None:
        asked, descriptors, _, _ = socket.recv_fds(self._requests, 1, 4)
        if not asked:
            self._is_open = False
            self._selector.unregister(self._requests)
        elif len(descriptors) == 4:
            self._fork(descriptors[:3], socket.socket(fileno=descriptors[3]))
        for descriptor in descriptors[:3]:
            os.close(descriptor)

    def _fork(self, standard: list[int], told: socket.socket) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # the worker reads that the socket is closed
            told.close()
            return
        if pid == 0:
            _be_child(parent, standard, self._limits)
        self._children[pid] = told
        self._selector.register(told, selectors.EVENT_READ, pid)

    def _kill(self, pid: int) -> None:
        if pid in self._children:  # not reaped, so the pid is still its own
            self._selector.unregister(self._children[pid])
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid in list(self._children):
            found, status = os.waitpid(pid, os.WNOHANG)
            if not found:
                continue
            told = self._children.pop(pid)
            if told in self._selector.get_map():
                self._selector.unregister(told)
            with told:
                try:
                    told.send(str(os.waitstatus_to_exitcode(status)).encode())
                except OSError:  # the worker does not listen any more
                    continue


def _be_child(parent: int, standard: list[int], limits: dict[int, int]) -> None:
    """Probes one source as its own process, and ends. Never returns."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if sys.platform == "linux":
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            for number, descriptor in enumerate(standard):
                os.dup2(descriptor, number)
            os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            for which, most in limits.items():
                resource.setrlimit(which, (most, most))
            child.main()
            sys.stdout.flush()
            code = 0
    except BaseException:  # noqa: BLE001 - what Python does at the end of a program
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    cpu_seconds, open_files = map(int, sys.argv[1:])
    Server(socket.socket(fileno=os.dup(0)), cpu_seconds=cpu_seconds, open_files=open_files).run()

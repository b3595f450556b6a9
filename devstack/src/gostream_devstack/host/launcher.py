"""Starts a child: drops root, ties its life to the supervisor's, then executes the server.

`python -I -S launcher.py PARENT_PID UID:GID|- SIGNAL COMMAND…`. A separate program replaces a `preexec_fn`:
the supervisor has threads (perhaps gRPC's), and Python code between fork and exec could hang.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, account, death_signal, *command = sys.argv[1:]
    if account != "-":
        uid, gid = map(int, account.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After setuid, which clears it. If the parent died earlier, no signal is sent, so check it.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("the supervisor has died")
    try:
        os.execvp(command[0], command)  # noqa: S606  (no shell is the point)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()

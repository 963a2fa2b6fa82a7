"""A disk of its own for each broker, which a file of ballast fills: an ext4 image, mounted through a loop device.

Needs root. The mounts are in a mount namespace of this program's, so the kernel removes them when it and all that it
started have ended, however that comes. Images that are kept can be mounted again: `mount -o loop IMAGE FOLDER`.
"""

import ctypes
import errno
import os
import subprocess

from daemon import Failure

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x00020000, 0x4000, 0x40000
DATA = "disk/data"  # below a process's folder, for Cluster's data_folder

_libc = ctypes.CDLL(None, use_errno=True)


def _run(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not installed") from None
    if done.returncode:
        raise Failure(f"{' '.join(command)}: {done.stderr.strip()}")


class Disks:
    """Mounted where Cluster has the brokers' data. The calling program must have one thread."""

    def __init__(self, folder, names, size_bytes):
        """folder: the cluster's. Fails where disks cannot be mounted."""
        self._mounts = {}  # name -> folder
        if _libc.unshare(CLONE_NEWNS) or _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
            raise Failure(f"disks cannot be mounted here: {os.strerror(ctypes.get_errno())}")
        try:
            for name in names:
                self._mount(os.path.join(folder, name), name, size_bytes)
        except Failure:
            self.close()
            raise

    def _mount(self, folder, name, size_bytes):
        image, disk = os.path.join(folder, "disk.ext4"), os.path.join(folder, "disk")
        os.makedirs(disk)
        with open(image, "xb") as f:
            f.truncate(size_bytes)
        # Nothing is set aside for root: what is free is what a broker can have.
        _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
        _run("mount", "-o", "loop", image, disk)
        self._mounts[name] = disk
        os.rmdir(os.path.join(disk, "lost+found"))

    def free_bytes(self, name):
        found = os.statvfs(self._mounts[name])
        return found.f_bavail * found.f_frsize

    def fill(self, name, left_bytes):
        """Takes what is free, but for so much."""
        with open(self._ballast(name), "ab") as f:
            # The file system takes some for itself, so the last piece may be refused: then a smaller one.
            size = piece = max(0, self.free_bytes(name) - left_bytes)
            while piece >= 4096 and (size := self.free_bytes(name) - left_bytes) > 0:
                try:
                    os.posix_fallocate(f.fileno(), f.tell(), min(piece, size))
                    f.seek(0, os.SEEK_END)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    piece //= 2

    def free(self, name):
        """Gives back what fill() took."""
        os.unlink(self._ballast(name))

    def _ballast(self, name):
        return os.path.join(self._mounts[name], "ballast")

    def close(self):
        """The processes that used them have ended."""
        for disk in self._mounts.values():
            subprocess.run(["umount", "--lazy", disk], check=False)
        self._mounts.clear()

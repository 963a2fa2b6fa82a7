"""How a test program of a cluster begins."""

import argparse
import shutil
import sys

SKIPPED = 77  # exit code: SKIP_RETURN_CODE in CMakeLists.txt


def begin(about):
    """(where the programs are, what is left of the command line for unittest). Ends with SKIPPED without etcd."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0], add_help=False)
    parser.add_argument("--bin", required=True, help="where narud and naru are")
    arguments, rest = parser.parse_known_args()
    if shutil.which("etcd") is None:
        print("skipped: etcd is not installed (apt-get install etcd-server)")
        sys.exit(SKIPPED)
    return arguments.bin, [sys.argv[0], *rest]

#!/usr/bin/env python3
"""The rules of the house that a compiler does not check. Prints one line for each breach; exits 1 if any.

  tidy.py [ROOT]

Checked: which folder may include and link which, where RocksDB and gRPC may be named, lengths of files, names,
"#pragma once", notes of unfinished work, links in documents. Needs only Python's standard library.
"""

import os
import re
import sys

# Folder -> the folders it may include from and link to, beside itself. The longest prefix of a path counts. "proto"
# is the generated code.
LAYERS = {
    "storage/base": [],
    "storage/batch": ["storage/base"],
    "storage/log": ["storage/base", "storage/batch"],
    "storage/segments": ["storage/base", "storage/batch", "storage/log"],
    # The index says where runs of the segments are, so it knows what a run is. Segments know no index.
    "storage/index": ["storage/base", "storage/batch", "storage/log", "storage/segments"],
    "storage/store": ["storage/base", "storage/batch", "storage/log", "storage/segments", "storage/index"],
    "cluster": ["storage/base", "storage/batch", "storage/log", "cluster", "proto"],
    # One of the stores of the cluster's metadata: what is above it knows the interface that it implements.
    "cluster/etcd": ["storage/base", "cluster", "proto"],
    "services": ["storage/base", "storage/batch", "storage/log", "cluster", "services", "proto"],
    # The composition root: the only place above the store that names it, but for benchmarks.
    "services/server": ["storage", "cluster", "services", "proto"],
    "clients/cpp": ["storage/base", "storage/batch", "proto"],
    "tools": ["storage/base", "storage/batch", "clients/cpp", "proto"],
    # Measures the parts of the store, each by itself.
    "tools/micro": ["storage"],
    "proto": [],
}
# Within what may be used as a whole: folder -> the layers that may use it, beside itself.
RESERVED = {
    "services/server": [],
    "cluster/etcd": ["services/server"],
    "proto/etcd": ["cluster/etcd"],
}
# Header pattern -> folders that may include it. Tests may include whatever the folder they test may.
PRIVATE_HEADERS = [
    (re.compile(r"rocksdb/"), ["storage/index"]),
    (re.compile(r"(grpc|grpcpp|grpc\+\+)/"), ["services", "cluster/etcd", "cluster/transport", "clients", "tools", "tests"]),
    (re.compile(r"(thread|mutex|shared_mutex|condition_variable|future|atomic|chrono|ctime|time\.h|random|unordered_map|"
                r"unordered_set)$|absl/(synchronization|time|random)/|absl/container/(flat|node)_hash_|"
                r"storage/base/clock\.h$"), None),
]
# State machines: no threads, clocks, chance, gRPC inside, and nothing whose order is a hash's; but for what drives them.
PURE = ["cluster/coordinator", "cluster/group", "cluster/replication", "cluster/transactions",
        "services/group/membership"]
DRIVERS = ["cluster/coordinator/catalog_publisher", "cluster/coordinator/coordinator_process",
           "cluster/coordinator/topic_coordinator",
           "cluster/group/group_coordinator", "cluster/group/group_coordinator_shards"]

LINES_WARN = 500
LINES_MAX = 700
COUNTED = (".cc", ".h", ".py", ".sh", ".proto")
TEXT = COUNTED + (".md", ".txt", ".cmake", ".yaml", ".yml", ".json", "")
BANNED_NAMES = {"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc"}
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
SKIPPED_FOLDERS = {".git", ".ccache", "build", "node_modules", "__pycache__", "corpus", ".cache", ".vscode", ".idea"}
# Names that CMake gives, for what a folder's own target would be called.
FOREIGN_TARGETS = {"NARU_ROCKSDB": ["storage/index"]}


def files(root):
    """Paths below root, relative, with '/', sorted."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
        for name in sorted(names):
            found.append(os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/"))
    return found


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def within(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    """The key of LAYERS that `path` belongs to, or None."""
    fits = [layer for layer in LAYERS if within(path, layer)]
    return max(fits, key=len) if fits else None


def may_use(layer, target_path):
    return within(target_path, layer) or any(within(target_path, allowed) for allowed in LAYERS[layer])


def forbidden(layer, target_path):
    """Whether code of `layer` may not use what stands at `target_path` (a file or folder of ours)."""
    if not may_use(layer, target_path):
        return True
    return any(within(target_path, folder) and layer != folder and layer not in users
               for folder, users in RESERVED.items())


def target_of_include(name):
    """Our folder that the include names, or None if it is not ours."""
    if name.endswith((".pb.h", ".grpc.pb.h")):
        return "proto/" + name
    return name if layer_of(name) else None


def check_includes(path, text):
    breaches = []
    layer = layer_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if not match:
            continue
        name = match.group(1)
        target = target_of_include(name)
        if layer and target and forbidden(layer, target):
            breaches.append(f"{path}:{number}: {layer} must not include \"{name}\"")
        breaches += check_private_header(path, number, name)
    return breaches


def check_private_header(path, number, name):
    for pattern, folders in PRIVATE_HEADERS:
        if not pattern.match(name):
            continue
        if folders is None:
            stem = os.path.splitext(path)[0]
            if any(within(stem, pure) for pure in PURE) and stem not in DRIVERS:
                return [f"{path}:{number}: a state machine must not include <{name}>"]
            continue
        tested = path[len("tests/"):] if path.startswith("tests/") else path
        if not any(within(path, f) or within(tested, f) for f in folders):
            return [f"{path}:{number}: <{name}> belongs to {', '.join(folders)} alone"]
    return []


def cmake_calls(text):
    """(function, arguments) of each call in a CMakeLists.txt without nested parentheses in it."""
    text = re.sub(r"#.*", "", text)
    for match in re.finditer(r"(\w+)\s*\(([^()]*)\)", text):
        yield match.group(1).lower(), match.group(2).replace('"', " ").split()


def check_links(root, paths):
    breaches = []
    home = {}
    uses = []
    for path in paths:
        if not path.endswith("CMakeLists.txt"):
            continue
        folder = os.path.dirname(path)
        for function, arguments in cmake_calls(read(root, path)):
            if function in ("naru_library", "add_executable", "add_library", "naru_test") and arguments:
                home[arguments[0]] = folder
            if function in ("naru_library", "target_link_libraries") and arguments:
                uses.append((path, folder, arguments))
    for path, folder, arguments in uses:
        layer = layer_of(folder)
        for argument in arguments[1:]:
            name = argument.strip("${}")
            if layer and argument in home and forbidden(layer, home[argument]):
                breaches.append(f"{path}: {layer} must not link to {argument} ({home[argument]})")
            owners = FOREIGN_TARGETS.get(name, ["storage/index"] if name.lower().startswith("rocksdb::") else None)
            if owners and not any(within(folder.removeprefix("tests/"), owner) for owner in owners):
                breaches.append(f"{path}: {name} belongs to {', '.join(owners)} alone")
    return breaches


def check_length(path, text):
    lines = text.count("\n")
    if lines > LINES_MAX:
        return [f"{path}: {lines} lines, the most is {LINES_MAX}: split it by role"]
    if lines > LINES_WARN:
        print(f"warning: {path}: {lines} lines; does it have one role?", file=sys.stderr)
    return []


def check_name(path):
    for part in path.split("/"):
        words = set(re.split(r"[_\-.]", part.lower()))
        if words & BANNED_NAMES:
            return [f"{path}: \"{(words & BANNED_NAMES).pop()}\" says nothing; name it after what it does"]
    return []


def check_header(path, text):
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.M):
        return [f"{path}: no #pragma once"]
    return []


def check_unfinished(path, text):
    return [f"{path}:{number}: unfinished work: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1) if UNFINISHED.search(line)]


def anchors(text):
    """What GitHub makes of the headings."""
    found = set()
    for heading in re.findall(r"^#+\s+(.*)$", text, re.M):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).strip().lower())
        found.add(words.replace(" ", "-"))
    return found


def check_document(root, path, text):
    breaches = []
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(os.path.join(root, target)):
            breaches.append(f"{path}: link to {link}, which is not there")
        elif anchor and target.endswith(".md") and anchor not in anchors(read(root, target)):
            breaches.append(f"{path}: link to {link}, but {target} has no such heading")
    return breaches


def check_tree(root):
    """All breaches below root, one line each."""
    paths = files(root)
    breaches = check_links(root, paths)
    for path in paths:
        breaches += check_name(path)
        extension = os.path.splitext(path)[1]
        if extension not in TEXT or os.path.basename(path) == "LICENSE":
            continue
        text = read(root, path)
        if extension in COUNTED:
            breaches += check_length(path, text)
        if extension in (".cc", ".h"):
            breaches += check_includes(path, text) + check_header(path, text)
        if extension == ".md":
            breaches += check_document(root, path, text)
        breaches += check_unfinished(path, text)
    return breaches


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    breaches = check_tree(os.path.abspath(root))
    for breach in breaches:
        print(breach)
    print(f"tidy: {len(breaches)} breaches" if breaches else "tidy: clean")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())

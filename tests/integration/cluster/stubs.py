"""Python stubs made from proto/: generate(folder) once, load(folder) in every process that calls the cluster.

Needs protoc, grpc_python_plugin and Python's grpc and protobuf packages. Importing this loads none of them.
"""

import importlib
import os
import shutil
import subprocess
import sys
import types

PROTO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../proto")
NAMES = ["types", "produce", "consume", "admin", "cluster", "group", "transaction"]


def generate(folder):
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["protoc", "-I", PROTO, "--python_out", folder, "--grpc_python_out", folder,
                    f"--plugin=protoc-gen-grpc_python={shutil.which('grpc_python_plugin')}"] +
                   [f"naru/v1/{name}.proto" for name in NAMES], check=True)


def load(folder):
    """An object with the modules: types, types_grpc, produce, produce_grpc, …"""
    sys.path.insert(0, os.path.abspath(folder))
    modules = types.SimpleNamespace()
    for name in NAMES:
        setattr(modules, name, importlib.import_module(f"naru.v1.{name}_pb2"))
        setattr(modules, name + "_grpc", importlib.import_module(f"naru.v1.{name}_pb2_grpc"))
    return modules

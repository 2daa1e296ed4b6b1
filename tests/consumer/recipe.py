#!/usr/bin/env python3
"""The Conan recipe without Conan: its functions are stood in for, so that the recipe's own lines run and install into a prefix.
Versions, which four files name, must be the same everywhere.

    recipe.py CHECKOUT PLACE CMAKE
"""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import types

root, place, cmake = sys.argv[1:]
shutil.rmtree(place, ignore_errors=True)
build, package = os.path.join(place, "build"), os.path.join(place, "package")


def require(true, what):
    if not true:
        sys.exit("the Conan recipe or a manifest is wrong: " + what)


class Info:
    def __init__(self):
        self.properties, self.requires, self.system_libs, self.cleared = {}, [], [], False

    def set_property(self, name, value):
        self.properties[name] = value

    def clear(self):
        self.cleared = True


class ConanFile:
    def __init__(self):
        self.package_folder, self.required, self.cpp_info, self.info = package, [], Info(), Info()
        self.settings = types.SimpleNamespace(os="Linux")

    def requires(self, reference, options=None):
        self.required.append(reference.split("/")[0])


class Toolchain:
    last = None

    def __init__(self, recipe):
        self.cache_variables = {}

    def generate(self):
        Toolchain.last = self


class Dependencies:
    def __init__(self, recipe):
        pass

    def generate(self):
        pass


class CMake:
    def __init__(self, recipe):
        pass

    def configure(self):
        options = [f"-D{name}={'ON' if value else 'OFF'}" for name, value in Toolchain.last.cache_variables.items()]
        subprocess.run([cmake, "-S", root, "-B", build, *options], check=True, stdout=subprocess.DEVNULL)

    def install(self):
        subprocess.run([cmake, "--install", build, "--prefix", package], check=True, stdout=subprocess.DEVNULL)


asked = {}
stubs = {
    "conan": {"ConanFile": ConanFile},
    "conan.tools": {},
    "conan.tools.build": {"check_min_cppstd": lambda recipe, version: asked.update(cppstd=version)},
    "conan.tools.cmake": {"CMake": CMake, "CMakeToolchain": Toolchain, "CMakeDeps": Dependencies,
                          "cmake_layout": lambda recipe: asked.update(layout=True)},
    "conan.tools.files": {"rmdir": lambda recipe, path: shutil.rmtree(path)},
}
for name, members in stubs.items():
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(members)

sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("recipe", os.path.join(root, "conanfile.py"))
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
recipe = module.SharedDictConan()
for step in ("requirements", "validate", "layout", "generate", "build", "package", "package_id", "package_info"):
    getattr(recipe, step)()

require(asked == {"cppstd": 20, "layout": True}, f"asked for {asked}")
require(recipe.info.cleared, "a header-only package has one id")
require(os.path.exists(os.path.join(package, "include/shared_dict/shared_dict.hpp")), "no header is installed")
require(not os.path.exists(os.path.join(package, "share/cmake")), "the package's own config is left beside Conan's")
require(sorted(recipe.required) == sorted(name.split("::")[0] for name in recipe.cpp_info.requires), "what is required isn't linked")
require(recipe.cpp_info.properties["cmake_target_name"] == "shared_dict::shared_dict", "another target's name")


def text(path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


header = text("include/shared_dict/version.hpp")
versions = {"version.hpp": ".".join(re.search(rf"kVersion{part} = (\d+)", header)[1] for part in ("Major", "Minor", "Patch")),
            "CMakeLists.txt": re.search(r"VERSION (\d+\.\d+\.\d+)\n", text("CMakeLists.txt"))[1],
            "conanfile.py": recipe.version}
for manifest in ("vcpkg.json", "cmake/vcpkg-port/vcpkg.json"):
    versions[manifest] = json.loads(text(manifest))["version"]
require(len(set(versions.values())) == 1, f"versions differ: {versions}")
shutil.rmtree(place)

"""The JavaScript clients are exactly those that the lock names."""

from __future__ import annotations

import json
import re

from .conftest import HERE


def test_the_lock_pins_every_package_by_hash_and_names_no_place_to_get_it():
    locked = json.loads((HERE / "package-lock.json").read_text())["packages"]
    wanted = json.loads((HERE / "package.json").read_text())["devDependencies"]
    assert set(wanted) == {"ai", "@ai-sdk/openai", "@ai-sdk/openai-compatible"}
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert locked[f"node_modules/{name}"]["version"] == version
    for name, package in locked.items():
        if name:
            assert package["integrity"].startswith("sha512-")
            assert "resolved" not in package

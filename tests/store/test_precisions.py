"""In which precision this processor embeds a question the quickest."""

from __future__ import annotations

import pytest

from store.embedding import quickest_precisions

TWO_CORES = """processor\t: 0
model name\t: A 4 GHz
flags\t\t: fpu avx2 {first}
bugs\t\t: spectre

processor\t: 1
flags\t\t: fpu avx2 {second}
"""


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("avx512f avx512_vnni", "avx512f avx512_vnni", ("int8", "fp32")),
        ("avx_vnni", "avx_vnni", ("int8", "fp32")),
        ("avx512f", "avx512f", ("fp32",)),
        ("avx512_vnni", "avx512f", ("fp32",)),  # work may run on either
        ("avx512_vnni_soon", "avx512_vnni_soon", ("fp32",)),
    ],
)
def test_int8_comes_first_where_every_core_has_int8_dot_products(tmp_path, first, second, found):
    facts = tmp_path / "cpuinfo"
    facts.write_text(TWO_CORES.format(first=first, second=second))
    assert quickest_precisions(facts) == found


def test_where_the_system_does_not_tell_it_is_fp32(tmp_path):
    assert quickest_precisions(tmp_path / "nowhere") == ("fp32",)
    other = tmp_path / "arm"
    other.write_bytes(b"processor\t: 0\nFeatures\t: asimddp\n\xff")
    assert quickest_precisions(other) == ("fp32",)

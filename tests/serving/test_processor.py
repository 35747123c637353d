"""What is said of a processor that the ScaNN ops would end the server on."""

import pytest

from serving.server.processor import missing_instructions

# The beginning of /proc/cpuinfo on an Ivy Bridge, which has AVX but no AVX2.
OLD = """processor\t: 0
model name\t: Intel(R) Xeon(R) CPU E5-2670 v2 @ 2.50GHz
flags\t\t: fpu sse4_2 popcnt aes xsave avx f16c rdrand
bugs\t\t: cpu_meltdown
"""


@pytest.mark.parametrize(
    ("cpuinfo", "missing"),
    [
        (OLD, ["AVX2", "FMA"]),
        (OLD.replace("avx f16c", "avx fma f16c"), ["AVX2"]),
        (OLD.replace("avx f16c", "avx avx2 fma f16c"), []),
        ("processor\t: 0\nFeatures\t: fp asimd\n", []),
        ("", []),
    ],
)
def test_what_is_missing(cpuinfo, missing):
    assert missing_instructions(cpuinfo) == missing

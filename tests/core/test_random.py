import numpy as np
import pytest

from cell_synergy.core.random import derived_seed, stream


def _draw(*purpose):
    return stream(*purpose).integers(2**62, size=4).tolist()


def test_a_purpose_gives_the_same_numbers_every_time():
    assert _draw(3, "batches", "A") == _draw(3, "batches", "A")
    assert derived_seed(3, "init") == derived_seed(3, "init")


def test_another_seed_purpose_or_order_gives_other_numbers():
    purposes = [["a"], ["b"], [], ["a", "b"], ["b", "a"], ["ab"]]
    draws = {tuple(_draw(seed, *words)) for seed in (3, 4) for words in purposes}
    assert len(draws) == 12
    assert len({derived_seed(seed, *words) for seed in (3, 4) for words in purposes}) == 12


def test_draws_of_one_purpose_do_not_move_those_of_another():
    before = _draw(0, "noise")
    stream(0, "batches").random(1000)
    np.random.default_rng(0).random(1000)
    assert _draw(0, "noise") == before


def test_numbers_are_those_of_the_documented_seed_sequence():
    # the CRC-32 by its definition, bit by bit
    crc = 0xFFFFFFFF
    for byte in b"batches":
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 & -(crc & 1))
    words = np.random.SeedSequence([7, crc ^ 0xFFFFFFFF])
    expected = np.random.Generator(np.random.PCG64(words)).random(3)
    assert stream(7, "batches").random(3) == pytest.approx(expected, rel=0, abs=0)


def test_derived_seeds_fit_in_63_bits():
    found = [derived_seed(seed, "torch") for seed in range(50)]
    assert all(0 <= number < 2**63 for number in found)
    assert max(found) > 2**61

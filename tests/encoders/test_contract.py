import hashlib

import pytest

from cell_synergy import encoders
from cell_synergy.core.errors import ConfigError
from cell_synergy.encoders import Encoder


def test_each_module_is_an_expert_of_that_name():
    assert {"efficientnet_lite0", "pca"} <= set(encoders.names())


@pytest.mark.parametrize("name", encoders.names())
def test_each_expert_accepts_its_parameters(name, expert_block):
    assert isinstance(encoders.load(name, expert_block(name)), Encoder)


def test_unknown_parameters_are_refused():
    settings = {"components": 4, "target_sum": 1e4, "least_shar": 0.1}
    with pytest.raises(
        ConfigError, match=r"encoders\.pca\.least_shar: .*did you mean 'least_share'"
    ):
        encoders.load("pca", settings)


def test_the_card_of_a_frozen_expert_is_read(tmp_path):
    (tmp_path / encoders.CARD).write_text('{"sha256": "ab", "dimension": 3}')
    assert encoders.read_card(tmp_path) == {"sha256": "ab", "dimension": 3}


def test_hashes_are_of_the_whole_file(tmp_path):
    content = b"x" * 3_000_000
    (tmp_path / "weights").write_bytes(content)
    assert encoders.sha256(tmp_path / "weights") == hashlib.sha256(content).hexdigest()

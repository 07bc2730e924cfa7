import numpy as np
import pandas as pd
import pytest

from cell_synergy.studies.truth import channel, describe, ground_truth, state_table

pytestmark = pytest.mark.filterwarnings("ignore:no relative gain:UserWarning")

XOR = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]]) / 4  # y = x1 xor x2
COPY = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]]]) / 2  # y = x1 = x2


@pytest.fixture
def paired():
    """Return latent states in all eight combinations, 20 units each, and three labels."""
    grid = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
    latent = pd.DataFrame(np.repeat(grid, 20, axis=0), columns=["nuclei", "genes", "shared"])
    labels = {
        "niche": (latent["nuclei"] ^ latent["genes"]).to_numpy(),
        "own": latent["nuclei"].to_numpy(),
        "common": latent["shared"].to_numpy(),
    }
    visible = {
        "niche": {"image": np.array(["nuclei"]), "expression": np.array(["genes"])},  # as stored
        "own": {"image": ["nuclei"], "expression": []},
        "common": {"image": ["shared"], "expression": ["shared"]},
    }
    return latent, labels, visible


def _confusions(error):
    flip = np.array([[1 - error, error], [error, 1 - error]])
    return {
        side: dict.fromkeys(("nuclei", "genes", "shared"), flip) for side in ("image", "expression")
    }


def test_the_joint_table_of_states_counts_observations(paired):
    latent, labels, visible = paired
    table, image, expression = state_table(latent, labels["niche"], visible["niche"])
    np.testing.assert_allclose(table, XOR)
    assert image == expression == [(0,), (1,)]


def test_combinations_of_states_are_sorted_and_only_those_that_occur():
    latent = pd.DataFrame({"a": [2, 0, 2, 0], "b": [1, 1, 0, 1], "c": [5, 5, 5, 5]})
    shown = {"image": ["a", "b"], "expression": ["c"]}
    table, image, expression = state_table(latent, np.array([0, 1, 2, 1]), shown)
    assert image == [(0, 1), (2, 0), (2, 1)]
    assert expression == [(5,)]
    np.testing.assert_allclose(table[:, 0], [[0, 0.5, 0], [0, 0, 0.25], [0.25, 0, 0]])


def test_an_xor_is_one_bit_of_synergy_and_nothing_else():
    result = describe(XOR)
    assert result["synergy"] == pytest.approx(1, abs=1e-6)
    for part in ("redundant", "unique_image", "unique_expression"):
        assert result[part] == pytest.approx(0, abs=1e-6)


def test_the_gain_is_what_the_pair_tells_beyond_each_side_as_a_share_of_the_entropy():
    both = np.zeros((2, 2, 4))  # y = (x1, x2): two unique parts, and no synergy
    both[[0, 0, 1, 1], [0, 1, 0, 1], np.arange(4)] = 0.25
    noisy = 0.8 * XOR + 0.2 / 8
    rare = np.stack([0.9 * np.array([[1.0]]), 0.1 * np.array([[1.0]])], axis=2)
    found = [describe(table) for table in (XOR, COPY, both, noisy, rare)]
    assert [each["entropy"] for each in found] == pytest.approx([1, 1, 2, 1, 0.4690], abs=1e-4)
    gains = [each["gain"] for each in found]
    assert gains == pytest.approx([1, 0, 0.5, 1 - 0.4690, 0], abs=1e-4)
    assert np.isnan(describe(np.full((2, 2, 1), 0.25))["gain"])


def test_a_copy_is_one_bit_of_redundancy_and_nothing_is_gained_by_the_pair():
    result = describe(COPY)
    assert result["redundant"] == pytest.approx(1, abs=1e-6)
    assert result["synergy"] == pytest.approx(0, abs=1e-6)
    assert result["sis_bits"] == result["sis_macro_f1"] == pytest.approx(0, abs=1e-9)


def test_information_of_one_modality_keeps_its_side():
    table = np.array([[[1, 0]], [[0, 1]]]) / 2
    assert describe(table)["unique_image"] == pytest.approx(1, abs=1e-6)
    assert describe(table.swapaxes(0, 1))["unique_expression"] == pytest.approx(1, abs=1e-6)


def test_a_channel_without_noise_changes_nothing():
    levels: list[tuple[int, ...]] = [(0, 1), (2, 0), (2, 1)]
    confusions = {"a": np.eye(3), "b": np.eye(2)}
    result = channel(levels, ["a", "b"], confusions)
    np.testing.assert_array_equal(result, np.eye(6)[[1, 4, 5]])


def test_states_are_confused_independently():
    first, second = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([[0.8, 0.2], [0.4, 0.6]])
    levels: list[tuple[int, ...]] = [(0, 0), (0, 1), (1, 0), (1, 1)]
    result = channel(levels, ["a", "b"], {"a": first, "b": second})
    np.testing.assert_allclose(result, np.kron(first, second))


def test_combinations_that_do_not_occur_can_be_decoded():
    confusion = np.array([[0.5, 0.25, 0.25], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]])
    result = channel([(0,), (2,)], ["a"], {"a": confusion})
    np.testing.assert_allclose(result, confusion[[0, 2]])


def test_a_modality_that_shows_nothing_has_one_state():
    np.testing.assert_array_equal(channel([()], [], {}), [[1]])


def test_every_task_has_a_row_for_tissue_and_one_for_embeddings(paired):
    latent, labels, visible = paired
    scored = np.ones(len(latent), dtype=bool)
    result = ground_truth(latent, labels, visible, _confusions(0.1), scored)
    assert result[["task", "seen"]].to_numpy().tolist() == [
        [task, seen] for task in ("niche", "own", "common") for seen in ("tissue", "embeddings")
    ]
    result = result.set_index(["task", "seen"])
    assert result.loc[("niche", "tissue"), "synergy"] == pytest.approx(1, abs=1e-6)
    assert result.loc[("own", "tissue"), "unique_image"] == pytest.approx(1, abs=1e-6)
    assert result.loc[("common", "tissue"), "redundant"] == pytest.approx(1, abs=1e-6)


def test_noise_of_the_experts_takes_the_binary_symmetric_channels_information(paired):
    latent, labels, visible = paired
    scored = np.ones(len(latent), dtype=bool)
    result = ground_truth(latent, labels, visible, _confusions(0.1), scored).set_index(
        ["task", "seen"]
    )
    flipped = {"own": 0.1, "niche": 2 * 0.1 * 0.9}  # the parity of two noisy bits is noisier
    for task, part in (("own", "unique_image"), ("niche", "synergy")):
        p = flipped[task]
        bits = 1 + p * np.log2(p) + (1 - p) * np.log2(1 - p)
        assert result.loc[(task, "embeddings"), part] == pytest.approx(bits, abs=1e-5)


def test_experts_without_noise_see_what_the_tissue_has(paired):
    latent, labels, visible = paired
    scored = np.ones(len(latent), dtype=bool)
    result = ground_truth(latent, labels, visible, _confusions(0.0), scored).set_index("task")
    tissue_rows, expert_rows = (
        result[result["seen"] == seen].drop(columns="seen") for seen in ("tissue", "embeddings")
    )
    pd.testing.assert_frame_equal(tissue_rows, expert_rows, atol=1e-6)


def test_only_scored_and_labelled_units_count(paired):
    latent, labels, visible = paired
    scored = np.arange(len(latent)) % 2 == 0
    changed = {task: np.where(scored, label, 0) for task, label in labels.items()}
    changed["own"][(labels["own"] == 0) & (np.arange(len(latent)) % 4 == 0)] = -1
    result = ground_truth(latent, changed, visible, _confusions(0.1), scored)
    assert result.loc[result["task"] == "niche", "synergy"].iloc[0] == pytest.approx(1, abs=1e-6)
    bits = np.log2(3) - 2 / 3  # half of the zeros have no label: one to two
    own = result[result["task"] == "own"]
    assert own["unique_image"].iloc[0] == pytest.approx(bits, abs=1e-6)
    assert own["entropy"].to_numpy() == pytest.approx(bits)


def test_tasks_without_labels_are_left_out(paired):
    latent, labels, visible = paired
    del labels["own"]
    result = ground_truth(
        latent, labels, visible, _confusions(0.1), np.ones(len(latent), dtype=bool)
    )
    assert set(result["task"]) == {"niche", "common"}

"""The chart of a training: means of stretches, a panel for each part, from the file alone."""

import pandas as pd
import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports import training_chart


def frame(steps):
    numbers = range(1, steps + 1)
    return pd.DataFrame(
        {"step": numbers, "loss": [float(n) for n in numbers], "ce": 2.0, "rate": 1e-5}
    ).assign(trained_tokens=10, seconds=1.0)


@pytest.mark.parametrize(
    ("steps", "ends", "losses"),
    [(3, [1, 2, 3], [1, 2, 3]), (40, range(2, 41, 2), [n + 0.5 for n in range(1, 40, 2)])],
)
def test_means_of_stretches_of_steps(steps, ends, losses):
    found = training_chart.smoothed(frame(steps).assign(model="m"), ["loss", "ce"])
    assert found.step.to_list() == list(ends)
    assert found.loss.to_list() == losses
    assert (found.ce == 2).all()
    assert (found.model == "m").all()


def test_a_training_is_smoothed_by_itself():
    two = pd.concat([frame(3).assign(remedy="a"), frame(40).assign(remedy="b")])
    found = training_chart.smoothed(two, ["loss"], "remedy")
    alone = training_chart.smoothed(frame(40).assign(remedy="b"), ["loss"], "remedy")
    pd.testing.assert_frame_equal(found[found.remedy == "b"].reset_index(drop=True), alone)
    assert found[found.remedy == "a"].loss.to_list() == [1, 2, 3]


def test_the_files(tmp_path):
    frame(3).to_csv(tmp_path / "training.csv", index=False)
    paths = training_chart.save(tmp_path, "m")
    assert [path.name for path in paths] == ["training.png", "training.svg", "training.pdf"]
    drawn = (tmp_path / "training.svg").read_text()
    for title in ("optimiser step", ">loss<", ">cross-entropy (nats)<"):
        assert title in drawn


def test_a_folder_without_a_log(tmp_path):
    with pytest.raises(ProbeError, match=r"cannot read .*training\.csv"):
        training_chart.save(tmp_path, "m")

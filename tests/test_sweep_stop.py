"""Successive halving over trainings in a row, and graphs with one training put for another."""

import json
from dataclasses import dataclass

import pytest

from mashq.rows import MashqError
from mashq.run import Step
from mashq.sweep_stop import EarlySettings, Halving, judged, losses, training_of, with_training

ASHA = EarlySettings("asha", first_step=10, factor=2)


def ended(losses_of, before=()):
    """The step at which a training with these losses is stopped, or None."""
    pytest.importorskip("optuna")
    halving = Halving(ASHA, before)
    return next((step for step, loss in losses_of if halving.stops(step, loss)), None)


def test_the_first_training_is_never_stopped():
    assert ended([(10, 9.0), (20, 9.0), (40, 9.0)]) is None


def test_a_worse_one_is_stopped_at_the_first_rung_and_a_better_one_goes_on():
    first = [(10, 3.0), (20, 2.0)]
    assert ended([(10, 3.5), (20, 1.0)], [first]) == 10
    assert ended([(10, 2.5), (20, 1.0)], [first]) is None


def test_it_may_be_stopped_at_a_later_rung():
    assert ended([(10, 2.5), (20, 2.5)], [[(10, 3.0), (20, 2.0)]]) == 20


def test_steps_between_rungs_decide_nothing():
    assert ended([(5, 99.0), (10, 2.0), (15, 99.0), (20, 1.0)], [[(10, 3.0), (20, 2.0)]]) is None


def test_with_four_before_it_the_better_half_goes_on():
    before = [[(10, loss)] for loss in (1.0, 2.0, 3.0)]
    # Optuna keeps the best len // factor of all that reached the rung, itself among them: of four, two.
    assert ended([(10, 1.5)], before) is None
    assert ended([(10, 2.5)], before) == 10


def test_a_loss_that_is_no_number_is_stopped():
    assert ended([(10, float("nan"))]) == 10


def test_being_told_a_step_twice_after_a_crash_changes_nothing():
    pytest.importorskip("optuna")
    halving = Halving(ASHA, [[(10, 3.0)]])
    assert not halving.stops(5, 9.0) and not halving.stops(5, 9.0)
    assert halving.stops(10, 3.5)


def test_the_same_log_is_decided_alike_every_time():
    before = [[(10, 3.0), (20, 2.0)], [(10, 2.0), (20, 2.5)], [(10, 4.0)]]
    assert {ended([(10, 2.1), (20, 2.2)], before) for _ in range(3)} == {ended([(10, 2.1), (20, 2.2)], before)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"rule": "hyperband"}, "off or asha"), ({"first_step": 0}, "at least 1"), ({"factor": 1}, "at least 2")],
)
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(MashqError, match=message):
        EarlySettings(**settings)


def test_validation_losses_are_read_from_the_log(tmp_path):
    lines = [{"step": 1, "loss": 2.0}, {"step": 2, "eval_loss": 1.5}, {"step": 3, "loss": 1.0}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert losses(tmp_path) == [(2, 1.5)]


def graph():
    data = Step("data", print)
    trained = Step("tuned", print, {"train": 1}, {"rows": data}, kind="folder", produces="model")
    told = Step("replies", print, None, {"rows": data, "trained": trained})
    before = Step("before", print, None, {"rows": data})
    return data, trained, told, before, Step("gain", print, None, {"before": before, "replies": told})


def test_the_training_behind_a_system_is_found():
    _, trained, _, _, gain = graph()
    assert training_of(gain, "replies") is trained
    with pytest.raises(MashqError, match="'before' of 'gain' is not trained"):
        training_of(gain, "before")


def test_another_training_changes_what_needs_it_and_nothing_else():
    data, trained, told, before, gain = graph()
    other = Step("tuned", print, {"train": 2}, {"rows": data}, kind="folder", produces="model")
    made = with_training(gain, trained, other)
    assert made.inputs["before"] is before and made.inputs["replies"].inputs["trained"] is other
    assert made.fingerprint != gain.fingerprint and made.inputs["replies"].fingerprint != told.fingerprint
    assert with_training(gain, trained, trained) is gain


@dataclass(frozen=True)
class Training:
    evaluate_every: int = 0


@pytest.mark.parametrize(("own", "looks"), [(0, 10), (5, 5), (10, 10)])
def test_a_judged_training_keeps_its_own_looks_where_they_meet_the_rungs(own, looks):
    step = Step("tuned", print, {"train": Training(own)}, kind="folder", produces="model")
    rival = judged(step, [], ASHA)
    made = judged(step, [rival], ASHA)
    assert made.settings["train"].evaluate_every == looks and made.inputs == {"rival-000": rival}
    assert made.fingerprint != rival.fingerprint != step.fingerprint


def test_looks_that_miss_the_rungs_are_refused():
    step = Step("tuned", print, {"train": Training(4)}, kind="folder", produces="model")
    with pytest.raises(MashqError, match=r"early.first_step: expected a multiple of .*\(4\), got 10"):
        judged(step, [], ASHA)

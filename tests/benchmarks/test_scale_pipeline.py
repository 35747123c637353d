"""Ratios of the pipeline's benchmark on runs whose figures are known."""

import pytest

from benchmarks.scale import pipeline


def measured_run(interactions, seconds, peak):
    """As `benchmark pipeline` keeps one: every component takes the same time and memory."""
    names = [*pipeline.ON_BEAM, "Trainer.ranking"]
    return {
        "interactions": interactions,
        "total": 10 * seconds,
        "seconds": dict.fromkeys(names, seconds),
        "cpu": dict.fromkeys(names, 2 * seconds),
        "disk": 25 * interactions,
        "peak": 2 * pipeline._GIB,
        "peaks": dict.fromkeys(names, 100) | {"Transform": peak, "Evaluator": 50 * peak},
    }


def test_ratios_of_runs_of_two_sizes():
    found = {1_000: measured_run(1_000, 3.0, 100), 11_000: measured_run(11_000, 3.03, 120)}
    found[11_000]["peaks"]["Evaluator"] = 10**6  # It holds the servable.
    ratios = {target: value for target, value in pipeline._ratios(found, measured_run(11_000, 1.01, 100))}
    assert ratios == pytest.approx(
        {
            pipeline._TIME: 1.01 / 11,
            pipeline._PEAK: 2,
            pipeline._GROWTH: 1.2,
            pipeline._DISK: 25,
            pipeline._WORKERS: 3,
            pipeline._CPU: 5 * 2 * 0.03 / 10_000 * 1e6,
        }
    )
    one_size = {1_000: found[1_000]}
    assert pipeline._CPU not in dict(pipeline._ratios(one_size, found[1_000])), "there is no slope"

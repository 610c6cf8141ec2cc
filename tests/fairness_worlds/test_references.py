"""What others found: Liu et al. 2018 on their tables, ml-fairness-gym's lending, Perdomo et al. 2020."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tracebank_models.fairness_worlds.one_step import POLICIES, Terms, outcome
from tracebank_models.fairness_worlds.performative import gaussian_people
from tracebank_models.fairness_worlds.repeated_minimisation import VARIANTS, Minimised, repeated_minimisation
from tracebank_models.fairness_worlds.score_tables import FICO, read_percentiles
from tracebank_models.fairness_worlds.single_applicants import lend

SHARED = Path(os.environ.get("TRACEBANK_TEST_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "fairness"
RELEASED = pytest.mark.skipif(not (SHARED / "totals.csv").exists(), reason=f"no tables of 198 scores in {SHARED}")
CREDIT = pytest.mark.skipif(not (SHARED / "credit_data.zip").exists(), reason=f"no credit_data.zip in {SHARED}")

# Loss of a default, policy: threshold, selection, true positives and change of Black and of White, utility.
ROWS = [
    (-4, "maximum_utility", (645.0, 613.8), (0.168, 0.663), (0.450, 0.834), (8.26, 38.26), 0.4574),
    (-4, "demographic_parity", (480.3, 649.4), (0.577, 0.577), (0.924, 0.736), (-17.23, 34.62), 0.3355),
    (-4, "equal_opportunity", (557.4, 631.1), (0.356, 0.625), (0.791, 0.791), (5.89, 36.82), 0.4305),
    (-10, "maximum_utility", (716.2, 656.5), (0.077, 0.558), (0.218, 0.713), (4.26, 33.59), 0.3347),
    (-10, "demographic_parity", (562.7, 731.2), (0.341, 0.341), (0.773, 0.442), (6.72, 19.84), 0.1810),
    (-10, "equal_opportunity", (601.3, 678.0), (0.258, 0.498), (0.641, 0.641), (9.23, 30.15), 0.2968),
]


@RELEASED
@pytest.mark.parametrize(("loss", "policy", "threshold", "selection", "hits", "change", "utility"), ROWS)
def test_the_twelve_rows_of_delayed_impact(
    loss: float,
    policy: str,
    threshold: tuple[float, float],
    selection: tuple[float, float],
    hits: tuple[float, float],
    change: tuple[float, float],
    utility: float,
) -> None:
    """The reference searched common rates to three digits; the best of all bring no less."""
    table, terms = read_percentiles(SHARED), Terms(loss=loss)
    found = outcome(table, policy, terms, step=0.001)
    assert found.threshold == pytest.approx(threshold, abs=0.05)
    assert found.selection == pytest.approx(selection, abs=0.001)
    assert found.true_positive == pytest.approx(hits, abs=0.001)
    assert found.change == pytest.approx(change, abs=0.05)
    assert found.utility == pytest.approx(utility, abs=1e-4)
    best = outcome(table, policy, terms)
    assert best.utility >= found.utility - 1e-12
    assert best.selection == pytest.approx(found.selection, abs=0.001)


def test_the_shipped_bins_tell_the_same_story() -> None:
    found = {policy: outcome(FICO, policy) for policy in POLICIES}
    assert found["demographic_parity"].change[0] < -10  # active harm
    assert 0 < found["equal_opportunity"].change[0] < found["maximum_utility"].change[0]  # relative harm
    assert FICO.shares @ FICO.scores == pytest.approx([515.8 - 25, 651.3 - 25], abs=8)
    assert (FICO.shares * FICO.repayment).sum(1) == pytest.approx([0.3366, 0.7587], abs=1e-3)


# Mean over three seeds of ml-fairness-gym's own loop.
GYM = {
    "maximum_utility": ((3307, 2172), (0.458, 0.415), (2.38, 2.06), (0.451, 0.341), 2118),
    "equal_opportunity": ((3791, 3247), (0.358, 0.353), (2.11, 2.04), (0.559, 0.559), 2601),
}


@pytest.mark.parametrize("agent", GYM)
def test_lending_to_one_after_another_ends_as_in_fairness_gym(agent: str) -> None:
    """Within three standard errors of the difference of their mean of three runs and ours of sixteen."""
    found = lend(agent, 16)
    ours = (found.loans, found.repayment, found.score, found.true_positive, found.profit)
    for values, theirs in zip(ours, GYM[agent], strict=True):
        error = values.std(0, ddof=1) * np.sqrt(1 / 3 + 1 / 16)
        assert np.all(np.abs(values.mean(0) - theirs) < 3 * error), (values.mean(0), theirs, error)


def _gaussian(variant: str, epsilon: float, rounds: int) -> Minimised:
    random = np.random.default_rng(0)
    features, odds = gaussian_people(4_000, np.zeros(4_000), 0.0, random)
    labels = (random.random(4_000) < 1 / (1 + np.exp(-odds))).astype(float)
    return repeated_minimisation(features, labels, epsilon, variant, rounds)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 5.0])
def test_a_free_bias_is_done_after_one_round_by_closed_form(epsilon: float) -> None:
    found = _gaussian("free_bias", epsilon, 2)
    first, second = found.thetas[:2]
    strategic = first[[0, 5, 7]]
    assert second[:-1] == pytest.approx(first[:-1], abs=2e-4)
    assert second[-1] == pytest.approx(first[-1] + epsilon * strategic @ strategic, rel=1e-4)
    assert found.gaps[1] < 1e-3


def test_a_regularised_bias_converges_at_a_rate_that_grows_with_epsilon() -> None:
    """The regularised bias pulls: near 0 rounds shrink gaps, and far out they no longer do."""
    near, far = _gaussian("regularised_bias", 1.0, 6).gaps, _gaussian("regularised_bias", 1_000.0, 12).gaps
    assert np.all(near[1:] < near[:-1])
    assert near[-1] < 1e-6
    assert far[-4:].min() > 1e-2


def test_the_released_solver_stops_before_it_is_there() -> None:
    found, exact = _gaussian("released", 2.0, 2), _gaussian("free_bias", 2.0, 2)
    assert found.gaps[-1] > 2e-3 > exact.gaps[-1]
    assert found.loss > exact.loss


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match=f"variant: 'exact' is not allowed; allowed: {', '.join(VARIANTS)}"):
        repeated_minimisation(np.zeros((2, 10)), np.zeros(2), 1.0, "exact", 1)


def _credit(variant: str, epsilon: float, rounds: int) -> Minimised:
    with zipfile.ZipFile(SHARED / "credit_data.zip") as archive:
        table = pl.read_csv(archive.read("credit_data.csv"), null_values=["NA"]).drop_nulls()
    features, labels = table[:, 2:].to_numpy().astype(np.float64), table[:, 1].to_numpy()
    features = (features - features.mean(0)) / features.std(0)
    rows = np.concatenate([np.flatnonzero(labels == which)[:10_000] for which in (1, 0)])
    assert len(rows) == 18_357
    return repeated_minimisation(features[rows], labels[rows].astype(np.float64), epsilon, variant, rounds)


@CREDIT
def test_the_three_variants_on_the_data_of_the_paper() -> None:
    free = _credit("free_bias", 100.0, 3)
    assert free.accuracy == pytest.approx(0.7192, abs=1e-4)
    assert free.gaps[0] == pytest.approx(0.392, abs=0.001)
    assert free.gaps[1] < 1e-6
    regularised = _credit("regularised_bias", 100.0, 4)
    assert regularised.gaps == pytest.approx([0.386, 0.0057, 0.00025, 1.1e-5], rel=0.05)
    assert _credit("regularised_bias", 1_000.0, 12).gaps[-3:].min() > 0.05
    released = _credit("released", 100.0, 2)
    assert released.accuracy == pytest.approx(0.7208, abs=1e-3)
    assert released.gaps[1:].min() > 0.03

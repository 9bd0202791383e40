"""The mean over families against a library, against its own coverage, and at its edges."""

import numpy as np
import pytest
from scipy.stats import chi2
from statsmodels.stats.meta_analysis import combine_effects

from provenance.statistics.meta_analysis import interval_variance, leave_one_out, random_effects


def test_random_effects_equals_the_library_where_that_has_the_number() -> None:
    rng = np.random.default_rng(0)
    for families in (2, 3, 6, 12):
        variances = rng.uniform(0.005, 0.1, families)
        effects = rng.normal(0.4, 0.3, families) + rng.normal(0, np.sqrt(variances))
        with np.errstate(invalid="ignore"):  # the library takes the root of a negative tau^2
            library = combine_effects(effects, variances, method_re="dl")
        found = random_effects(effects, variances)
        assert found is not None
        # the library keeps a negative tau^2, where the random-effects mean is that of fixed effects
        assert found.mean == pytest.approx(library.mean_effect_re if library.tau2 > 0 else library.mean_effect_fe)
        assert found.tau**2 == pytest.approx(max(0.0, library.tau2))
        assert found.i_squared == pytest.approx(max(0.0, 1 - (families - 1) / library.q))
        assert found.p_heterogeneity == pytest.approx(chi2.sf(library.q, families - 1))


def test_interval_holds_the_true_mean_about_95_times_of_100() -> None:
    """Six families, true effects with SD 0.3; 1,000 draws know a share of 0.95 to within 0.014."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        variances = rng.uniform(0.005, 0.05, 6)
        found = random_effects(rng.normal(0.4, 0.3, 6) + rng.normal(0, np.sqrt(variances)), variances)
        assert found is not None
        held += found.low <= 0.4 <= found.high
    assert 0.93 <= held / 1000 <= 0.97


def test_interval_is_never_narrower_than_that_of_known_variances() -> None:
    """Three families that agree by chance: the t interval without the bound would have no width."""
    found = random_effects(np.array([0.5, 0.5, 0.5]), np.array([0.04, 0.04, 0.04]))
    assert found is not None
    assert found.tau == 0
    assert found.high - found.low == pytest.approx(2 * 4.3027 * 0.2 / np.sqrt(3), rel=1e-4)


def test_one_family_has_no_mean_and_two_have_no_mean_without_one() -> None:
    assert random_effects(np.array([0.5]), np.array([0.01])) is None
    assert np.isnan(leave_one_out(np.array([0.5, 0.7]), np.array([0.01, 0.01]))).all()
    three = leave_one_out(np.array([0.2, 0.4, 0.9]), np.full(3, 0.01))
    assert three == pytest.approx([0.65, 0.55, 0.3])


def test_variance_of_an_interval_is_that_of_its_standard_error() -> None:
    assert interval_variance(0.5 - 1.959964 * 0.1, 0.5 + 1.959964 * 0.1) == pytest.approx(0.01)


def test_a_family_without_a_width_takes_part_and_breaks_nothing() -> None:
    """An AUROC of 1 in every resample: its weight is large, but the spread between families bounds it."""
    found = random_effects(np.array([0.0, 1.0, 2.0]), np.array([interval_variance(0.0, 0.0), 0.04, 0.04]))
    assert found is not None
    assert 0.5 < found.mean < 1.2
    assert found.low < found.mean < found.high

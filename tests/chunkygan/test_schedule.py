"""Schedules fit the steps asked for, begin above 0, and stay where they ended."""

from hypothesis import given
from hypothesis import strategies as st

from chunkygan.lightning.schedule import fading, learning_rate

steps = st.integers(1, 2000)
shares = st.floats(0, 1)


@given(steps=steps, rampup=shares, rampdown=shares)
def test_every_step_has_a_learning_rate_above_zero(steps, rampup, rampdown):
    factors = [learning_rate(i, steps, rampup=rampup, rampdown=rampdown) for i in {0, steps // 2, steps - 1}]
    assert all(0 < factor <= 1 for factor in factors)


@given(steps=steps, beyond=st.integers(0, 5000))
def test_after_the_last_step_the_rate_does_not_rise_again(steps, beyond):
    last = learning_rate(steps - 1, steps, rampup=0.05, rampdown=0.25)
    assert learning_rate(steps + beyond, steps, rampup=0.05, rampdown=0.25) == last


@given(steps=st.integers(40, 2000))
def test_any_number_of_steps_reaches_the_ramp_down(steps):
    assert learning_rate(steps - 1, steps, rampup=0.05, rampdown=0.25) < 0.05
    assert learning_rate(steps // 2, steps, rampup=0.05, rampdown=0.25) == 1


@given(steps=steps, until=st.floats(0.01, 1))
def test_latent_noise_fades_to_nothing(steps, until):
    values = [fading(i, steps, until=until) for i in range(steps)]
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert fading(steps, steps, until=until) == 0

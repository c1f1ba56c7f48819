import numpy as np

from audio_pipeline.models.separation.centre import Centre
from audio_pipeline.models.separation.stream import separate
from audio_pipeline.models.separation.types import SeparatorSettings


def test_what_both_channels_share_is_the_centre_and_nothing_is_lost() -> None:
    x = np.random.default_rng(0).standard_normal((9_600, 1)).astype(np.float32)
    both = separate(Centre(), np.repeat(x, 2, axis=1), SeparatorSettings("low"))
    assert np.allclose(both["centre"], x, atol=1e-4) and np.abs(both["sides"]).max() < 1e-4

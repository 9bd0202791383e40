"""Defaults and limits shared by options, jobs and plans, each named once with its justification."""

from pathlib import Path
from typing import Literal

SAMPLES_PER_QUESTION = 10  # Gao et al. 2025, Sec. 6.1.1
PER_CLASS = 1000  # Gao et al. 2025, Sec. 6.1.1
"""Responses wanted of each class, for training and of each test set."""
MAX_NEW_TOKENS = 32
REPLY_TOKENS = 256  # Gao et al. 2025, Sec. 6.2
"""Of a free reply to a benchmark."""
AUTO: Literal["auto"] = "auto"
"""The device that is there, and its usual dtype (`provenance.models.devices`)."""
BATCH_SIZE = 128
"""Questions asked at a time."""
CORRELATION_RESPONSES = 128  # some thousand tokens: enough to tell a correlation of 0.05 from zero
"""Answers that both models read to correlate their activations."""
SELFTEST_DRAWS = 200  # a rate of 5 % is then known to within 3 %
"""Made-up pairs of each kind for the calibration."""
LARGEST_SEED = 2**32 - 1
"""Every generator takes it."""
DATABASE = "sqlite:///provenance.db"
"""URL of the neuron database, in the working folder."""
OUT = Path("provenance-out")
"""Folder in the working folder, with one of its own for each run and study."""
LATEST = "latest"
"""In place of a run's number: the newest finished run of any kind that is no negative control."""

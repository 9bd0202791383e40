"""The trajectories of all timelines of a study: the figure of a single one, a block of panels for each."""

from dataclasses import replace

from provenance.figures.plots import timeline

FIGURE = replace(
    timeline.FIGURE, order=6, name="study_trajectory", context=("study", "run", "trace"), members="timeline"
)

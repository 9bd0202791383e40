"""Figures of a study; every module with a `FIGURE` is one."""

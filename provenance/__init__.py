"""Were these neurons already there before alignment?

`provenance` compares a base and an instruction-tuned checkpoint: it finds the
hallucination-associated neurons ("H-Neurons", Gao et al. 2025, arXiv:2512.01797)
of the tuned one, maps them onto the base, and measures transfer, weight drift,
overlap and activity against nulls that could refute the claim.
"""

__version__ = "0.2.0"

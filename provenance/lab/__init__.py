"""The lab: two miniature model families with a known answer, shipped with the package.

The verdict engine can be trusted only if it tells apart families whose history is known.

    lab/inherited   pre-training text marks true answers as records and made-up ones as hearsay, so the base already
                    tells a known name from an invented one. Tuning shows the chat format, teaches some facts and lets
                    others fade, and holds the neurons that tell. Right and made-up answers have the same probability.
                    Its H-Neurons are inherited.
    lab/acquired    the base knows its facts as well, but no training text needs that difference; tuning teaches it.
                    Its H-Neurons are not readable in the base.

`families`, `locate` and `question_sets` give paths after checking their digests. `provenance.lab.build.build` makes
everything again from `provenance.lab.recipes`; it is not imported here, because only it needs torch.
"""

from provenance.lab.manifest import SHIPPED, families, locate, question_sets

__all__ = ["SHIPPED", "families", "locate", "question_sets"]

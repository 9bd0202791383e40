"""The lab: miniature model families with a known answer, shipped with the package.

The verdict engine can be trusted only if it tells apart families whose history is known.

    lab/inherited   pre-training text marks true answers as records and made-up ones as hearsay, so the base already
                    tells a known name from an invented one. Tuning shows the chat format, teaches some facts and lets
                    others fade, and holds the neurons that tell. Right and made-up answers have the same probability.
                    Its H-Neurons are inherited.
    lab/acquired    the base knows its facts as well, but no training text needs that difference; tuning teaches it.
                    Its H-Neurons are not readable in the base.
    lab/functional  sixteen neurons alone write made-up answers.
    lab/yielding    begins with that base; the same sixteen neurons make a model give up right answers that are doubted.
    lab/idle        the same training, but for what those neurons do: they change nothing about doubted answers.
    lab/refusing    a tuned model alone; 64 neurons make it grant harmless requests that it refuses without them.

`families`, `locate`, `question_sets` and `benchmark_file` give paths after checking their digests.
`provenance.lab.build.build` makes everything again from `provenance.lab.recipes`; it is not imported here, because only
it needs torch.
"""

from provenance.lab.manifest import SHIPPED, benchmark_file, families, locate, question_sets

__all__ = ["SHIPPED", "benchmark_file", "families", "locate", "question_sets"]

"""The lab's tokenizer: byte-level pieces, learned from the words of the world; all bytes are in the vocabulary.

Pieces come from single syllables and words, so known and invented names are tokenised alike, without familiarity.
"""

from collections.abc import Iterator

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from provenance.lab.corpus import FORMS, INSTRUCTION
from provenance.lab.world import MODIFIERS, PERSON, SHIP, syllables

BOS, EOS, PAD, UNK = "<s>", "</s>", "<pad>", "<unk>"
VOCABULARY = 1400  # an upper bound: learning stops earlier, when every word is one piece

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %} {{ message['content'] }}{{ eos_token }}"
    "{% else %}User: {{ message['content'] }}\nAssistant:{% endif %}"
    "{% endfor %}"
)


def words() -> Iterator[str]:
    """Texts that should be one piece each: syllables at any place in a name, and all words in use."""
    for syllable in syllables():
        yield from (syllable, syllable.capitalize(), f" {syllable.capitalize()}")
    for modifier in MODIFIERS.split():
        yield f" {modifier}"
    texts = [INSTRUCTION, "User:", "Assistant:", "Source: records", "Source: hearsay"]
    texts += [text for form in FORMS for text in form if text]
    for kind in (PERSON, SHIP):
        for relation in kind.relations:
            texts += [f" {head}" for head in relation.heads]
            texts += [relation.question.replace("{}", ""), relation.statement.replace("{}", "")]
    for text in texts:
        yield from (text, f" {text}")


def make_tokenizer(*, chat: bool) -> PreTrainedTokenizerFast:
    """Tokenizer of a base stage or, with `chat`, of an instruct stage, which adds the chat template."""
    core = Tokenizer(models.BPE(unk_token=UNK))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS, UNK],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(words(), trainer)
    core.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(
                single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, core.token_to_id(BOS))]
            ),
        ]
    )
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNK,
        clean_up_tokenization_spaces=False,
    )
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer

"""What a text says: normal forms, numbers, edges of words, negation, abstentions, in many languages."""

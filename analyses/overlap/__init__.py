"""Whether two independent searches find the same neurons, against chance and matched neurons."""

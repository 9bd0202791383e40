"""Questions, prompts, sampled responses, their labels, and where the answer lies in them."""

"""Hit rates and false alarms of the verdicts over made-up pairs with a known truth."""

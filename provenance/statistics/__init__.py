"""AUROC, bootstrap by question, and corrections for several tests."""

"""Studies: several families in one file, asked the same questions under the same settings."""

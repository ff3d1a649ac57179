"""Code that runs inside a sandbox: the standard library alone, nothing of Palaestra."""

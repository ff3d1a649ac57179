"""AppWorld, the real one: an adapter to the package ``appworld``, in an interpreter of its own."""

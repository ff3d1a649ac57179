"""Code: write a function that passes hidden tests, in one message or with the public tests' feedback."""

"""The markers of tests that start real servers."""


def pytest_configure(config):
    config.addinivalue_line("markers", "server: starts `transformers serve` (needs `transformers[serving]`)")
    config.addinivalue_line("markers", "vllm: starts the server of vLLM (PALAESTRA_VLLM_PYTHON)")

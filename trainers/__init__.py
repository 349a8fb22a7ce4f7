"""One signal, one network, one fit (torch inside fits only: signals, configuration and metrics load without it)."""

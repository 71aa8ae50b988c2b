"""What the end-to-end tests stand on: processes, ports, the proxy under test, phones, a small SIP library."""

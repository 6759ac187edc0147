"""Sluice's integration harness: servers, fixtures and tests that drive the built binary."""

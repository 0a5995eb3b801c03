"""Benchmarks: each `bench_*.py` measures one thing against a peer or a floor, as a ratio in one run.

A module has `TITLE`, and `async def run(quick: bool) -> list[Result]` (or the same without `async`).
"""

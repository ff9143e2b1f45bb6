"""Algorithm 1 of Apt-Serve in plain Python over lists, which the array versions are compared with."""

from __future__ import annotations


def algorithm1(pending_s: list[float], blocks: list[int], capacity: int, penalty_s_per_block: float) -> list[int]:
    """The form of each request (0 = not served, 1 = KV, 2 = hidden), without a certificate."""
    increments: list[tuple[float, int, int, int]] = []  # gain per block, request, form, half blocks
    for request, (pending, need) in enumerate(zip(pending_s, blocks, strict=True)):
        hidden, upgrade = 2 * pending / need - 2 * penalty_s_per_block, 2 * penalty_s_per_block
        if upgrade > hidden:
            increments.append((pending / need, request, 1, 2 * need))
        else:
            increments.append((hidden, request, 2, need))
            increments.append((upgrade, request, 1, need))
    increments.sort(key=lambda increment: -increment[0])
    form = [0] * len(blocks)
    room, taken_s = 2 * capacity, 0.0
    for _, request, target, half_blocks in increments:
        if half_blocks > room:
            if pending_s[request] > taken_s:
                form = [0] * len(blocks)
                form[request] = 1
            break
        room -= half_blocks
        before = form[request]
        form[request] = target
        value = pending_s[request] if target == 1 else pending_s[request] - penalty_s_per_block * blocks[request]
        taken_s += value - (pending_s[request] - penalty_s_per_block * blocks[request] if before == 2 else 0.0)
    return form

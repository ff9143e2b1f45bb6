"""How likely the chosen tokens were, and which were the likeliest, of requests that ask for it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.state.request import Request, TokenLogprobs


def logprobs_of(
    requests: Sequence[Request], entries: Sequence[int], logits: torch.Tensor, token_ids: torch.Tensor
) -> dict[int, TokenLogprobs]:
    """Logarithms of probabilities by entry; nothing is computed where no request asks.

    Parameters
    ----------
    requests : sequence of Request, [b]
    entries : sequence of int, [s]
        Which of them get a token.
    logits : float tensor, [s, vocab]
    token_ids : int64 tensor, [s]
        Their tokens; -1 where logits are not finite, which has no meaning here.
    """
    asked = [(row, entry) for row, entry in enumerate(entries) if requests[entry].params.num_logprobs is not None]
    if not asked:
        return {}
    rows = torch.tensor([row for row, _ in asked], device=logits.device)
    counts = [requests[entry].params.num_logprobs or 0 for _, entry in asked]
    scores = logits.index_select(0, rows)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)).log_softmax(-1)
    chosen = scores.gather(1, token_ids.index_select(0, rows).clamp_min(0)[:, None])[:, 0].tolist()
    top = scores.topk(min(max(counts), scores.shape[1]))
    likeliest = zip(top.indices.tolist(), top.values.tolist(), strict=True)
    return {
        entry: (logprob, tuple(zip(ids[:count], values[:count], strict=True)))
        for (_, entry), count, logprob, (ids, values) in zip(asked, counts, chosen, likeliest, strict=True)
    }

"""aptsched's policies inside vLLM: `--scheduler-cls engine.vllm.AptAsyncScheduler`; docs/vllm.md says how."""

from __future__ import annotations

from aptsched.support.exports import TYPE_CHECKING, lazily

__all__ = ["AptAsyncScheduler", "AptScheduler"]

if TYPE_CHECKING:
    from engine.vllm.scheduler import AptAsyncScheduler, AptScheduler
else:
    __getattr__, __dir__ = lazily(__name__, {"engine.vllm.scheduler": ("AptAsyncScheduler", "AptScheduler")})

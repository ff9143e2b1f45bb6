"""vLLM's own scheduler classes on a computed clock, without a model or a GPU, the same each time."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from vllm import SamplingParams
from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from aptsched.support.checks import Floats, Ints

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
    "vocab_size": 256,
    "max_position_embeddings": 4096,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
}  # sizes that nothing depends on
FIXED_S, TOKEN_S = 0.008, 0.0001  # of an iteration, and of each of its tokens
TOKEN, STOP = 7, 8  # what comes, and what comes last
AHEAD = 2  # iterations that an asynchronous scheduler has under way


@dataclass(frozen=True)
class Setup:
    """What a scheduler is made with; `policy` is vLLM's own order, `additional` what the plug-in reads."""

    num_blocks: int = 60
    block_size: int = 32
    max_tokens: int = 2048
    max_seqs: int = 256
    prefix_caching: bool = False
    asynchronous: bool = False
    policy: str = "fcfs"
    additional: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Offered:
    """Requests: when they arrive, and their lengths, [n] each.

    Attributes
    ----------
    num_shared_tokens : int
        With which all prompts begin.
    cap_tokens : int
        Most output tokens that clients ask for; the last token ends an output before. 0 where they ask for its length.
    """

    arrived_at_s: Floats
    num_prompt_tokens: Ints
    num_output_tokens: Ints
    num_shared_tokens: int = 0
    cap_tokens: int = 0


def offered(
    rng: np.random.Generator,
    rate_per_s: float = 16.0,
    num_requests: int = 200,
    cv: float = 2.0,
    cap_tokens: int = 0,
    num_shared_tokens: int = 0,
) -> Offered:
    """Lognormal lengths, and gaps between arrivals of a Gamma distribution with that coefficient of variation."""
    gaps = rng.gamma(1 / cv**2, cv**2 / rate_per_s, num_requests)
    prompts = np.clip(rng.lognormal(np.log(120), 0.9, num_requests), 4, 1000).astype(np.int64)
    outputs = np.clip(rng.lognormal(np.log(40), 0.6, num_requests), 2, 400).astype(np.int64)
    return Offered(gaps.cumsum(), prompts, outputs, num_shared_tokens, cap_tokens)


def make_scheduler(scheduler_class: type, setup: Setup, directory: Path) -> Any:
    """A scheduler of this class; the directory gets a model's configuration."""
    (directory / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    model = ModelConfig(model=str(directory), skip_tokenizer_init=True, dtype="float32", max_model_len=4096, seed=0)
    budget = {"max_num_batched_tokens": setup.max_tokens, "max_num_seqs": setup.max_seqs, "max_model_len": 4096}
    scheduling = SchedulerConfig(
        **budget,
        policy=setup.policy,
        enable_chunked_prefill=True,
        is_encoder_decoder=False,
        async_scheduling=setup.asynchronous,
    )
    cache = CacheConfig(block_size=setup.block_size, enable_prefix_caching=setup.prefix_caching)
    cache.num_gpu_blocks = setup.num_blocks + 1  # one is no request's
    config = VllmConfig(
        model_config=model,
        scheduler_config=scheduling,
        cache_config=cache,
        device_config=DeviceConfig("cpu"),
        additional_config=setup.additional,
    )
    spec = FullAttentionSpec(block_size=setup.block_size, num_kv_heads=1, head_size=8, dtype=torch.float32)
    blocks = KVCacheConfig(setup.num_blocks + 1, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["0"], spec)])
    return scheduler_class(config, blocks, StructuredOutputManager(config), setup.block_size, log_stats=False)


@dataclass(eq=False)
class Served:
    """What has come of a run.

    Attributes
    ----------
    token_at_s : dict of str to list of float
        When each token of a request came, by its name.
    schedule : list of dict
        The tokens fed to each request in each iteration.
    refused : set of str
        Requests that ended with an error.
    num_preemptions : int
    """

    token_at_s: dict[str, list[float]] = field(default_factory=dict)
    schedule: list[dict[str, int]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    num_preemptions: int = 0


class Drive:
    """Serves requests on a computed clock: an iteration takes a fixed time, and a time for each token."""

    def __init__(self, scheduler: Any, given: Offered, setup: Setup) -> None:
        self.scheduler, self.given, self.now_s, self.served = scheduler, given, 0.0, Served()
        scheduler.clock = lambda: self.now_s
        init_none_hash(sha256)
        self._hasher = get_request_block_hasher(setup.block_size, sha256) if setup.prefix_caching else None
        self._ahead, self._under_way = AHEAD if setup.asynchronous else 1, deque[Any]()

    def request(self, at: int) -> Request:
        """A request as vLLM has it, named by its place; tokens are its own but for those shared."""
        prompt = (np.arange(self.given.num_prompt_tokens[at]) * (at + 3) % 251).tolist()
        shared = min(self.given.num_shared_tokens, len(prompt))
        prompt[:shared] = range(shared)
        most = self.given.cap_tokens or int(self.given.num_output_tokens[at])
        params = SamplingParams(max_tokens=most, stop_token_ids=[STOP], ignore_eos=True)
        params.update_from_generation_config({}, None)
        arrived_at_s = float(self.given.arrived_at_s[at])
        return Request(str(at), prompt, params, None, arrival_time=arrived_at_s, block_hasher=self._hasher)

    def run(self, after_each: Callable[[], object] = lambda: None, most: int = 10**6) -> Served:
        """Serves them all; `after_each` is called after each iteration."""
        coming = iter(range(len(self.given.arrived_at_s)))
        following = next(coming, None)
        for _ in range(most):
            while following is not None and self.given.arrived_at_s[following] <= self.now_s:
                self.scheduler.add_request(self.request(following))
                following = next(coming, None)
            if not self.scheduler.has_requests() and not self._under_way:
                if following is None:
                    break
                self.now_s = float(self.given.arrived_at_s[following])
                continue
            self._iterate()
            after_each()
        return self.served

    def _iterate(self) -> None:
        """Begins an iteration if anybody is there, and ends the first under way, if as many are as may be."""
        if self.scheduler.has_requests():
            output = self.scheduler.schedule()
            self.served.num_preemptions += len(output.preempted_req_ids or ())
            self.served.schedule.append(dict(output.num_scheduled_tokens))
            self._under_way.append((output, {name: self._is_sampled(name) for name in output.num_scheduled_tokens}))
            if len(self._under_way) < self._ahead and self.scheduler.has_requests():
                return
        output, done = self._under_way.popleft()
        self.now_s += FIXED_S + TOKEN_S * output.total_num_scheduled_tokens
        self._end(output, done)

    def _is_sampled(self, name: str) -> bool:
        """Whether the iteration that has just been scheduled ends with a token of the request."""
        return not self.scheduler.requests[name].is_prefill_chunk

    def _token(self, name: str) -> int:
        """The next token of a request, by what has come of it."""
        num_tokens = len(self.served.token_at_s.get(name, ()))
        return STOP if num_tokens + 1 >= self.given.num_output_tokens[int(name)] else TOKEN

    def _end(self, output: Any, done: dict[str, bool]) -> None:
        names = [*done]
        tokens = [[self._token(name)] if sampled else [] for name, sampled in done.items()]
        ran = ModelRunnerOutput(names, dict(zip(names, itertools.count())), sampled_token_ids=tokens)
        for client in self.scheduler.update_from_output(output, ran).values():
            for each in client.outputs:
                self.served.token_at_s.setdefault(each.request_id, []).extend([self.now_s] * len(each.new_token_ids))
                if str(each.finish_reason) == "error":
                    self.served.refused.add(each.request_id)

"""What iterations of Llama-3-8B on A100 take by the linear model in QoServe's code, and a server that takes so long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from engine.loop.limits import Limits
from engine.models.find_config import find_config
from engine.simulator.believed import believed
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.gpu_file import find_gpu
from engine.simulator.skipping import Skipping
from engine.simulator.work import Amount, Work, choose, larger
from engine.study.serving import Server
from engine.study.simulation import Setup, cost_of, simulated_server

MAX_CHUNK = 2500  # most tokens of an iteration
SMALL = 512  # tokens of an iteration up to which the first line of the model holds


@dataclass(frozen=True)
class Terms:
    """Seconds of an iteration: fixed, for each token, more for one of a prompt or decode, for each token read."""

    fixed_s: float
    token_s: float
    prompt_s: float
    decode_s: float
    decode_context_s: float
    prompt_context_s: float

    def seconds(self, prompt: Amount, decodes: Amount, prompt_context: Amount, decode_context: Amount) -> Amount:
        """Seconds for so many tokens of prompts, decodes, and tokens cached before of each."""
        fed_s = (self.token_s + self.prompt_s) * prompt + (self.token_s + self.decode_s) * decodes
        read_s = self.prompt_context_s * prompt_context + self.decode_context_s * decode_context
        return self.fixed_s + fed_s + read_s


UP_TO_SMALL = Terms(0.014936, 5.882475e-05, 2.247956e-05, 3.634519e-05, 1.111258e-07, 7.554773e-07)
BEYOND = Terms(0.005004, 2.719050e-05, 6.863043e-05, -4.143993e-05, 1.663409e-07, 2.727223e-06)


@dataclass(frozen=True)
class LinearCost:
    """The linear model in QoServe's code, fitted to iterations of Llama-3-8B on A100.

    What is cached of prompts is not in `Work`: it is that of one chunk with the same tokens and pairs.
    """

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration."""
        prompt, decodes = work.prefill_tokens, work.decode_seqs
        prompt_context = larger(0, (work.prefill_squares / larger(1, prompt) - prompt) / 2)
        amounts = (prompt, decodes, prompt_context, larger(0, work.context_tokens - prompt_context))
        tokens = prompt + decodes
        taken_s = choose(tokens <= SMALL, UP_TO_SMALL.seconds(*amounts), BEYOND.seconds(*amounts))
        return choose(tokens > 0, taken_s, 0.0)


def linear_server() -> Server:
    """The server whose iterations take what QoServe's model says."""
    setup = Setup(find_config("llama-3-8b"), find_gpu("a100-80gb"), cost="roofline", hidden_attention="rebuilt")
    server = simulated_server(setup, Limits(max_tokens=MAX_CHUNK))
    cost = replace(cost_of(server), passes=LinearCost(), source="the linear model in QoServe's code")
    executor = ComputedExecutor(cost, server.cache)
    return replace(server, executor=executor, times=believed(cost), skipping=partial(Skipping, executor))

"""Generation with a model: prompts in, texts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.forms import lossy_ratios
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.wanted_forms import lossy_wanted
from aptsched.support.errors import InputError
from engine.loop.limits import Limits
from engine.models.hidden_attention import absorb_limit
from engine.models.model import Model
from engine.runner.torch_executor import TorchExecutor
from engine.session.cache_memory import num_blocks as blocks_of
from engine.session.completion import Completion
from engine.session.generation import count_tokens
from engine.session.onlooker import Onlooker
from engine.session.session import Session
from engine.session.vocabulary import Prompt, Vocabulary
from engine.state.pool import BlockPool
from engine.state.sampling_params import SamplingParams


class Engine:
    """A model, the memory of its cache, and a policy that composes each iteration.

    Any number of threads may use it at once: their requests are batched together, and each thread gets its own results.

    Parameters
    ----------
    model : Model
    policy : Policy, optional
        First come, first served without one.
    cache_mem : str or int
        Bytes of the cache, such as "512MiB"; not used where `num_blocks` is given.
    num_blocks : int, optional
        Blocks of the cache.
    num_host_blocks : int
        Blocks on the host, for policies that swap.
    max_tokens, max_seqs : int
        Token budget and sequence limit of an iteration.
    max_iteration_s : float, optional
        The longest that an iteration may take as predicted by `times`: policies that chunk feed longer prompts in
        chunks, and an abort waits no longer than that. Without it iterations are as long as the token budget allows.
    times : IterationTime, optional
        The times that the policy predicts iterations with, as `aptsched calibrate` measures them.
    hidden_attention : str
        How hidden states are read: "absorbed", or "rebuilt" as K and V.
    kernels : bool, optional
        Whether the cache is written and read by kernels in Triton; by default with CUDA, where it is installed.
    onlooker : Onlooker, optional
        Told of each iteration and of each request that ends, in the thread that runs them.
    overlap : bool
        Whether the policy decides the next iteration while one runs, which hides its time on a GPU. Tokens are the
        same; requests that arrive meanwhile are seen one decision later.

    Attributes
    ----------
    session : Session
        The session that `generate` and `stream` use; use it directly for requests that come and go one by one.

    Raises
    ------
    InputError
        A number out of range, or another way to read hidden states; `max_iteration_s` without `times`, or with times
        that do not say what a token takes; `kernels` where they cannot run.
    """

    def __init__(
        self,
        model: Model,
        policy: Policy | None = None,
        *,
        cache_mem: str | int = "1GiB",
        num_blocks: int | None = None,
        num_host_blocks: int = 0,
        max_tokens: int = 2048,
        max_seqs: int = 256,
        max_iteration_s: float | None = None,
        times: IterationTime | None = None,
        hidden_attention: str = "absorbed",
        kernels: bool | None = None,
        onlooker: Onlooker | None = None,
        overlap: bool = False,
    ) -> None:
        self.model = model
        count = blocks_of(model, cache_mem) if num_blocks is None else num_blocks
        self.executor = TorchExecutor(model.decoder, count, num_host_blocks, absorb_limit(hidden_attention), kernels)
        config = model.config
        policy = policy or FCFS()
        wanted = lossy_wanted(policy, lossy_ratios(config, model.decoder.dtype.itemsize))
        self.executor.prepare(wanted)
        self.pool = BlockPool(count, config.cache().with_forms(wanted), num_host_blocks)
        self.session = Session(
            policy,
            self.pool,
            self.executor,
            Vocabulary(config.vocab_size, model.tokenizer, frozenset(config.eos_token_ids)),
            limits=Limits(max_tokens, max_seqs, config.max_positions, max_iteration_s),
            times=times,
            onlooker=onlooker,
            overlap=overlap,
        )

    def generate(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Complete all prompts, batched as memory allows.

        Parameters
        ----------
        prompts : sequence of str or of token ids
        params : SamplingParams, or one for each prompt
        progress : callable, optional
            Called in this thread for each new token with the number of tokens so far, over all prompts.

        Returns
        -------
        list of Completion
            One for each prompt; where a prompt is rejected because it is too long, the record says so.

        Raises
        ------
        InputError
            A prompt that is empty, is not Unicode, or has tokens that the model does not know; a text or stop strings
            where there is no tokenizer.
        """
        generations = self.session.add_all(prompts, params)
        try:
            if progress is not None:
                count_tokens(generations, progress)
            return [generation.result() for generation in generations]
        finally:
            for generation in generations:
                generation.abort()

    def stream(self, prompt: Prompt, params: SamplingParams | None = None) -> Iterator[str]:
        """The text of a completion, piece by piece as its tokens come; errors as in `generate`.

        Raises
        ------
        InputError
            The model has no tokenizer, or the prompt is rejected: the message has the numbers.
        """
        if self.model.tokenizer is None:
            raise InputError("prompt: no text can be streamed, for the model has no tokenizer; `generate` is accepted")
        completion = yield from self.session.add(prompt, params).stream()
        if completion.finish_reason == "rejected":
            raise InputError(f"prompt: {completion.record.reason}")

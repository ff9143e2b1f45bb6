"""Starts a server: model, session, application, process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Thread

import numpy as np

from aptsched.scheduling.plan import Policy
from aptsched.support.errors import InputError
from engine.server.app import application
from engine.server.exposition import Exposition
from engine.server.live_routes import Live
from engine.server.live_view import LiveView
from engine.server.log_lines import print_errors
from engine.server.onlookers import Onlookers
from engine.server.own_load import OwnLoad
from engine.server.serve_options import ServeOptions
from engine.server.service import Service
from engine.server.switched import Switched
from engine.server.uvicorn_server import UvicornServer, bound_socket
from engine.session.onlooker import Onlooker
from engine.session.session import Session
from engine.session.vocabulary import Vocabulary
from engine.study.offered_forms import unused_forms
from engine.study.ready_model import Calibrate, ready_model
from engine.study.serving import Server


@dataclass(frozen=True, eq=False)
class Ready:
    """A server that can be started.

    Attributes
    ----------
    options : ServeOptions
    session : Session
    exposition : Exposition
    view : LiveView
    policy : Switched
    name : str
        What clients call the model.
    listening : socket
    notices : tuple of str
    """

    options: ServeOptions
    session: Session
    exposition: Exposition
    view: LiveView
    policy: Switched
    name: str
    listening: socket.socket
    notices: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.listening.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self, on_start: Callable[[], object]) -> int:
        """Serves until a signal ends it; returns the exit code.

        Raises
        ------
        InputError
            The session has failed: its policy, for example, raised an error.
        """
        try:
            return asyncio.run(self._serve(on_start))
        finally:
            self.session.close()

    async def _serve(self, on_start: Callable[[], object]) -> int:
        options = self.options

        def fail(error: BaseException) -> None:
            server.failure, server.should_exit = error, True

        service = Service(
            self.session,
            self.name,
            options.slo_of_all,
            options.max_requests,
            self.exposition,
            np.random.default_rng(),
            fail,
        )
        load = OwnLoad(service, np.random.default_rng())
        live = Live(self.view, service, load, self.policy, options.has_controls)
        server = UvicornServer(application(live, options.api_key), service, options.drain)
        print_errors()
        on_start()
        await server.serve(sockets=[self.listening])
        if server.failure is not None:
            raise InputError(f"the engine failed, and the server has ended ({server.failure})") from server.failure
        return server.exit_code


def prepared(options: ServeOptions, calibrate: Calibrate) -> Ready:
    """Loads the model, measures it where that is needed, and takes the address.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted.
    """
    policies, known = options.policies, options.known_times()
    listening = bound_socket(options.host, options.port)
    try:
        ready = ready_model(options, known, calibrate)
        server = replace(ready.server(options.limits, policies), overlap=options.overlap)
        name = options.served_model_name or ready.model.name
        exposition, view, policy, config = Exposition(name), LiveView(), Switched(policies), ready.model.config
        vocabulary = Vocabulary(config.vocab_size, ready.model.tokenizer, frozenset(config.eos_token_ids))
        session = _of_no_thread(lambda: _session(server, policy, vocabulary, Onlookers(exposition, view)))
    except BaseException:
        listening.close()
        raise
    notices = (*options.slo_notices, *ready.notices, *unused_forms(policies, server), *ready.model.notices)
    return Ready(options, session, exposition, view, policy, name, listening, notices)


def _session(server: Server, policy: Policy, vocabulary: Vocabulary, onlooker: Onlooker) -> Session:
    return Session(
        policy,
        server.pool(policy),
        server.executor,
        vocabulary,
        limits=server.limits,
        times=server.times,
        onlooker=onlooker,
        overlap=server.overlap,
    )


def _of_no_thread(make: Callable[[], Session]) -> Session:
    """A session whose maker is over, so that its own thread runs it, and waits for no other to do so."""
    made: list[Session | BaseException] = []

    def run() -> None:
        try:
            made.append(make())
        except BaseException as error:
            made.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(made[0], BaseException):
        raise made[0]
    return made[0]

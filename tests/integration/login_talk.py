"""A login dialogue with a real qshd, word by word."""

import asyncio

from qsh.wire.events import BannerReceived, ExtensionsReceived
from tests.integration.raw_client import connected


class Talk:
    """A login dialogue in the test's words, and the user's sessions after it."""

    def __init__(self, client, user):
        self.client, self.user, self.banners = client, user, []
        self.dialogue = client.connection.login

    async def ask(self, body, user=None):
        self.dialogue.request(user or self.user, body)
        return await self.answer()

    async def respond(self, *responses):
        self.dialogue.respond(responses)
        return await self.answer()

    async def answer(self):
        while True:
            event = await self.client.connection.next_login_event()
            if isinstance(event, BannerReceived):
                self.banners.append(event.text)
            elif not isinstance(event, ExtensionsReceived):
                return event

    async def output(self, command):
        stdout, _, _ = await self.client.run(command.encode())
        return stdout.decode()


def talk_to(daemon, key, user, scenario):
    """What the scenario, a coroutine function that takes a Talk, returns."""

    async def whole():
        async with connected(daemon, key, login=False) as client:
            return await asyncio.wait_for(scenario(Talk(client, user)), 60)

    return asyncio.run(whole())

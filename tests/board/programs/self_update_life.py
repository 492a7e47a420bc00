"""A board's program under the boot module (boot_main.py). Prints each report that the broker has
acknowledged, as {report}, with the place of the agent as {place}."""

import asyncio
import json
import sys

import modelwave_boot
import stand_in

from modelwave_agent.board.agent import BoardAgent
from modelwave_agent.board.mqtt import MqttLink
from modelwave_agent.board.runtime import FunctionRuntime

with open(sys.argv[1]) as file:
    config = json.load(file)


class Watched(MqttLink):
    async def publish(self, topic, payload, retain):
        await MqttLink.publish(self, topic, payload, retain)
        if "/reported/" in topic:
            print(json.dumps({"place": modelwave_boot.START.place, "report": json.loads(payload)}))


async def main():
    link = Watched(config["host"], config["port"], "pico-1", keepalive=config["keepalive"])
    models = {"digits": FunctionRuntime(stand_in.load)}
    agent = BoardAgent("pico-1", "rp2040", models, link, config["folder"], config["root"])
    await agent.run()


asyncio.run(main())

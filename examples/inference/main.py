import asyncio
import sys
import time

import machine
import network
import tflite_dense

from modelwave_agent.board.agent import BoardAgent
from modelwave_agent.board.mqtt import MqttLink
from modelwave_agent.board.runtime import FunctionRuntime

NAME = "pico-1"


async def stay_in_the_network():
    wlan = network.WLAN(network.STA_IF)
    wlan.active(True)
    while True:
        if not wlan.isconnected():
            try:
                wlan.disconnect()  # an ESP32 that is still at it refuses another try
                await asyncio.sleep(1)
                wlan.connect("your network", "its password")
            except OSError as error:
                print("network:", error)
        await asyncio.sleep(30)


def may_update(upcoming):  # asked before a download, and before the new model serves
    return ""  # or why not now, such as "the battery is low": it is asked again later


async def main():
    joining = asyncio.create_task(stay_in_the_network())
    link = MqttLink("192.0.2.10", 1883, NAME, user=NAME, password="of this board")
    models = {"digits": FunctionRuntime(tflite_dense.load)}
    agent = BoardAgent(
        NAME, "pico-w", models, link, feed=lambda: watchdog.feed(), may_update=may_update
    )
    await asyncio.sleep(5)  # without a watchdog: here Ctrl-C gives you the prompt for good
    watchdog = machine.WDT(timeout=8000)
    running = asyncio.create_task(agent.run())
    model, release = None, 0
    while not running.done():
        watchdog.feed()
        live = agent.live("digits")  # None until there is one, and if the first one went back
        if (live.release if live else 0) != release:
            model, release = None, 0
            if live:
                model, release = tflite_dense.load(live.path), live.release
        if model:
            scores = model(bytes(64))  # your sensor's data
            agent.observe("digits", release=release)
        await asyncio.sleep(1)
    await running  # raises what ended it


try:
    asyncio.run(main())
except Exception as error:  # not Ctrl-C
    sys.print_exception(error)
    time.sleep(10)
    machine.reset()

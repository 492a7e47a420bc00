"""The program of README: it waits for a model, runs it, and takes over each update."""

from my_device import is_moving, is_right, read_sensor  # yours

from modelwave_agent.host import HostAgent, ProofError


def may_update(upcoming):
    return "the machine is moving" if is_moving() else ""  # it is asked again later


with HostAgent.from_config("agent.toml", may_update) as agent:
    while True:
        agent.wait_live("digits")  # for the first order, and a moment after each start
        try:
            output = agent.run("digits", read_sensor())  # the live model; updates change it
        except ProofError as error:  # counted: a model on trial is rolled back
            print(error)
            continue
        agent.observe("digits", labelled=1, correct=is_right(output))  # if you know it

"""Judges a release by what devices observed, beside the devices that still run the old one. Pure.

The device is the unit: each counts with one number a look, however many windows it sent.

devices       a device's windows -> one number, its mean less what it did before
looks         when a stage is judged, and how much of the error each look may use
compare       the two arms -> PASS, FAIL or INCONCLUSIVE, with estimate and interval
permutation   how rare the canaries' sum is among all ways to choose canaries
limit         a mean against a fixed limit, without controls
agreement     a release beside the live one, against what its manifest expects
levels        all devices, and each target by itself
needs         how many more devices or windows a verdict needs, and the smallest harm seen
rollbacks     roll-backs among the devices that were opened: an e-value
silence       canaries that send nothing, against controls
estimated     accuracy without labels, from the histogram of confidences: it may only HOLD
proportions   intervals of a share and of the difference of two: metrics on held-out data
statistics    Student's t, the incomplete beta function, Fisher's exact test

    frozen = freeze(devices)          # each target and quantity, once, before the first order
    pairs[target] = Pair(arm(canaries, quantity, frozen), arm(controls, quantity, frozen))
    occasion = Occasion(budget, number, windows, allowance(stage, stages), seed)
    judged = judge(pairs, quantity, occasion)
    judged.word, judged.reason, judged.whole.harm, judged.targets["rp2040"].need

A canary is a device that was opened, a control one that was not. Equal inputs give equal verdicts,
in any order of devices and windows; the draws of a permutation follow from a seed.
"""

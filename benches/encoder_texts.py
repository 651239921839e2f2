#!/usr/bin/env python3
"""Texts of 20 to 60 words for timing encoders, one JSON string a line: encoder_texts.py [N]. The same N texts every time."""
import json
import random
import sys

WORDS = """a after again all also an and any are as at back be because been before both but by came can close could day
did do done door down each early end even every few find for from garden gave go good had hand has have he her here him
his home hour house how if in into is it its just keep kind know last late left letter light like line long look made
many may more morning most much must name near need never new next night no not nothing now of off old on once one only
open or other our out over own page part people place put quiet read right road room said same saw say see seen she
should side small so some soon street such take tell than that the their them then there these they thing this those
time to told too took town turn two under until up us very walk was water way we well went were what when where which
while who will window with word work would write year yes you young your""".split()

count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
choose = random.Random(7)
for _ in range(count):
    words = [choose.choice(WORDS) for _ in range(choose.randint(20, 56))]
    words[0] = words[0].capitalize()
    print(json.dumps(" ".join(words) + "."))

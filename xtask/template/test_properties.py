"""Plants faults in a copy of the request template: the corpus alone must find each of them."""

import shutil
import tempfile
import unittest
from pathlib import Path

from gateway import TEMPLATES, Gateway
from properties import BUS, replay
from webhooks import CORPUS

# What is replaced in the template, and what the failure says.
FAULTS = {
    "an action in the clear": ('"$verb', '"$action', "JSON|the action is"),
    "a detail type in the clear": ('"$type"', '"$event"', "JSON|the detail type is"),
    "a header in the clear": ("$util.base64Encode($delivery)", "$delivery", "JSON|base64"),
    "a body in the clear": (r'\"$body\"', r'\"$input.body\"', "JSON|base64"),
    "a part of the body": ("$input.body)", "$action)", "another body arrived"),
    "a signature that is too short": ("$signature.length() < 71 ||", "", "an event is made"),
    "a signature that is too long": ("$signature.length() > 71 ||", "", "an event is made"),
    "a body of any size": ("|| $body.length() > 174764", "", "an event is made"),
    "a body that is slightly too large": ("174764", "174768", "an event is made"),
    "a body that could be larger": ("174764", "174763", "not one entry"),
    "a header that the query can set": (
        "#set($event = $value)",
        "#set($event = \"$!input.params('X-GitHub-Event')\")",
        "another X-GitHub-Event arrived|has the type|not one entry",
    ),
    "an event in one spelling": ("(?i)x-github-event", "X-GitHub-Event", "not one entry"),
    "a delivery in one spelling": ("(?i)x-github-delivery", "X-GitHub-Delivery", "not one entry"),
    "a signature in one spelling": ("(?i)x-hub-signature-256", "X-Hub-Signature-256", "not one entry"),
    "a content type in one spelling": ("(?i)content-type", "Content-Type", "another Content-Type arrived|spelling"),
    "a header in two spellings": ("$twice ||", "", "an event is made"),
    "an event in two spellings": (".*e.*e.*|", "", "an event is made"),
    "a delivery in two spellings": (".*d.*d.*|", "", "an event is made"),
    "a signature in two spellings": (".*s.*s.*|", "", "an event is made"),
    "a content type in two spellings": ("|.*c.*c.*", "", "an event is made"),
    "a webhook without an event": ('$event == "" ||', "", "an event is made"),
    "a webhook without a delivery": ('$delivery == "" ||', "", "an event is made"),
    "a header in another field": ("Encode($media)", "Encode($event)", "another Content-Type arrived"),
    "a word that is missing": ("#if($action == 'completed')", "#if($action == 'complete')", "has the action"),
    "a second entry": ('\"}"\n}]}', '\"}"\n},{}]}', "not one entry"),
    "a field too many": (r'{\"v\":1', r'{\"v\":1,\"x\":1', "the detail has"),
    "another source": ("ecsrunner.webhook", "aws.ecs", "the source is"),
    "another bus": ("$stageVariables.bus", "default", "the bus is"),
    "a copy of the body": (r'\"}"' + "\n", r'\"}","Time":"$util.base64Encode($input.body)"' + "\n", "the entry has"),
}


class PropertiesTest(unittest.TestCase):
    def setUp(self):
        self.templates = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.templates)
        self.paths = sorted(CORPUS.glob("*.json"))

    def replay(self, old, new):
        for path in TEMPLATES.glob("*.vtl"):
            text = path.read_text("utf-8")
            if path.name == "put_events.vtl":
                # The comments name some of these words.
                comments, code = text.split("#set", 1)
                self.assertIn(old, code)
                text = comments + "#set" + code.replace(old, new, 1)
            (self.templates / path.name).write_text(text, "utf-8")
        return replay(Gateway(BUS, self.templates), self.paths)

    def test_the_shipped_template_passes(self):
        self.assertIsNone(self.replay("#set", "#set"))

    def test_each_planted_fault_is_found(self):
        for name, (old, new, failure) in FAULTS.items():
            with self.subTest(name):
                found = self.replay(old, new)
                self.assertIsNotNone(found)
                self.assertRegex(found.split("\n")[0], failure)

    def test_each_webhook_of_the_corpus_says_why_it_is_there(self):
        for path in self.paths:
            self.assertIn('"why": "', path.read_text("utf-8"), path.name)


if __name__ == "__main__":
    unittest.main()

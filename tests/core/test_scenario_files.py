"""What is wrong with a scenario's file is told by file, step and key, all of it at once."""

import tomllib

import pytest

from gateway.core.scenario_files import read
from gateway.core.scenarios import ScenarioError

ADA = "[people.ada]\n"
HELLO = '[[steps]]\nname = "hello"\nfrom = "ada"\nsms = "Hello"\n'


def refused(text):
    with pytest.raises(ScenarioError) as told:
        read("late.toml", tomllib.loads(text))
    return str(told.value)


def test_of_a_file_without_people_that_alone_is_said():
    assert refused(HELLO) == "late.toml: nobody is in it. Add a person: [people.ada]."


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ADA, "late.toml: it has no steps. Add one: [[steps]]."),
        (f"titel = 'x'\n{ADA}{HELLO}", 'late.toml: key "titel" is not known. Did you mean title?'),
        (f"{ADA}nubmer = '+1'\n{HELLO}", 'late.toml: person "ada": key "nubmer" is not known. Did you mean'),
        (
            f'{ADA}{HELLO}form = "x"',
            'late.toml: step 1 "hello": key "form" is not known. Did you mean from?',
        ),
        (
            f'{ADA}{HELLO}[[steps]]\nfrom = "adda"\nsms = ""',
            "step 2: key \"from\" is 'adda'. Choose one of ada. Did you",
        ),
        (f'{ADA}{HELLO}button = "At seven"', 'key "button" is only for whatsapp. Remove it.'),
        (f"[people.ada]\nnumber = 'hello'\n{HELLO}", "key \"number\" is 'hello'. Write one as"),
        (f"needs.reply.responder = 'echo'\n{ADA}{HELLO}", "key \"needs.reply\" is {'responder': 'echo'}. Write"),
        (f'{ADA}[[steps]]\nfrom = "ada"\ncall = [{{ press = "x" }}]', "key \"press\" is 'x'. Use digits, * and #."),
        (f'{ADA}{HELLO}chat = "Hi"', 'step 1 "hello": it says both sms and chat. Give it one of sms, whatsapp, call'),
        (f'{ADA}[[steps]]\nfrom = "ada"', "step 1: it says not what happens. Give it one of sms, whatsapp, call, chat"),
        (f'{ADA}{HELLO}after = "soon"', 'key "after" is \'soon\'. Write seconds, or a span such as "6m40s"'),
        (f"{ADA}{HELLO}at = 1\nafter = 2", 'keys "at" and "after" say the same in two ways. Keep one.'),
        (f"{ADA}{HELLO}expect = {{ decison = 'created' }}", 'step 1 "hello", expect: key "decison" is not known.'),
        (f"{ADA}{HELLO}expect = {{ decision = 'made' }}", "Choose one of created, reused, rolled_over."),
        (f"{ADA}{HELLO}expect = {{ answer_has = [] }}", 'key "answer_has" is []. Write what the answer has to hold'),
        (f"{ADA}{HELLO}lost = 'webhook'\nexpect = {{ duplicate = true }}", "Nothing comes of what never arrives."),
        (f"{ADA}{HELLO}together = true", "There is no step before this one."),
        (f"{ADA}{HELLO}copies = 51", "Write a whole number from 1 to 50."),
        (
            f'{ADA}[[steps]]\nfrom = "ada"\ncall = [{{ say = "x", press = "1" }}]',
            'step 1, turn 1: it needs either "say"',
        ),
        (f'{ADA}[[steps]]\nfrom = "ada"\ncall = "Hello"', 'Write its turns: call = [{ say = "A table" }'),
        (f'{ADA}[[steps]]\nfrom = "ada"\nwhatsapp = ""\npayload = "x"', 'key "payload" stands without "button".'),
        (f'{ADA}{HELLO}[[steps]]\nstatus = "sendt"\nof = "hello"', "Did you mean sent?"),
        (f'{ADA}{HELLO}[[steps]]\nstatus = "sent"\nof = "helo"', "Choose one of hello. Did you mean hello?"),
        (f'{ADA}{HELLO}[[steps]]\nstatus = "sent"\nof = "hello"\nerror_code = "1"', "Only failed and undelivered have"),
        (
            f"{ADA}{HELLO}[expect.session.late]\nmessages = 1",
            "[expect.session.late]: no step expects a session of that",
        ),
        (f"{ADA}{HELLO}[expect]\nsession_count = 1", 'late.toml: [expect]: key "session_count" is not known.'),
        (f"start = 'noon'\n{ADA}{HELLO}", "key \"start\": 'noon' is no ISO 8601 time"),
    ],
)
def test_a_fault_is_named_with_its_place_and_the_remedy(text, fault):
    assert fault in refused(text)


def test_all_faults_are_told_a_line_each():
    assert len(refused(f'{ADA}{HELLO}form = "x"\n[[steps]]\nfrom = "bob"\nsms = ""\ncopies = 0').splitlines()) == 3


def test_one_fault_is_told_once():
    assert len(refused(f'{ADA}{HELLO}chat = "Hi"').splitlines()) == 1


def test_times_count_from_the_step_before_or_from_the_start():
    said = '[[steps]]\nfrom = "ada"\nsms = ""\n'
    when = ["", "after = 300.001", 'at = "1h2m3s"', "together = true", 'after = "1d"', "at = 5"]
    scenario = read("late.toml", tomllib.loads(ADA + "".join(f"{said}{one}\n" for one in when)))
    hour = 3_723_000
    assert [step.at_ms for step in scenario.steps] == [0, 300_001, hour, hour, hour + 86_400_000, 5000]

"""Conversations of several steps, as the person at the other end sees them."""

from dataclasses import replace
from datetime import timedelta

import bson
import pytest

from gateway.core import flows
from gateway.core.flows import Outcome, State
from tests.core.flow_samples import AT, RICH, parsed, rich, shipped


def talk(flow, *said, begin="", spoken=False, **more):
    """Begin a flow and say things; give the last advance. What is all digits was keyed, on a call."""
    advance = flows.begin(flow, run="run", at=AT, by="m0", text=begin, spoken=spoken, **more)
    for number, text in enumerate(said, 1):
        keyed = spoken and bool(text) and not text.strip("0123456789*#")
        advance = flows.step(flow, advance.state, text, at=AT, by=f"m{number}", spoken=spoken, digits=keyed)
    return advance


def values(advance):
    return dict(advance.state.values)


ITEMS = [{"item": "T-shirts", "quantity": 20}, {"item": "caps", "quantity": 5}]
ORDER = ("20 shirts and 5 caps", "Harry, 8848850922, h@example.com", "main street")


def test_a_bulk_order_is_taken_down_confirmed_and_handed_on():
    said = "Name is Hari and phone number is 8848850922 and email is h@example.com"
    order = shipped("bulk_order")
    asked = talk(order, said, "main", begin="bulk order 20 shirts and 5 caps")
    assert asked.state.step == "confirm"
    assert "Order: 20 T-shirts, 5 caps\nName: Hari\nPhone: 8848850922\nE-mail: h@example.com" in asked.text
    done = flows.step(order, asked.state, "yes", at=AT, by="m9")
    assert done.outcome is Outcome.COMPLETED
    assert done.text.startswith("Thank you, Hari! Your order is in: 20 T-shirts, 5 caps, pickup at Main Street.")
    assert values(done) == {
        "items": ITEMS, "name": "Hari", "phone": "8848850922", "email": "h@example.com", "pickup": "Main Street",
    }  # fmt: skip
    assert [(one.kind, dict(one.parameters)) for one in done.completions] == [
        ("capture", {"name": "Hari", "phone": "8848850922", "email": "h@example.com"}),
        ("tag", {"tag": "bulk order"}),
        ("hand_over", {"reason": "Bulk order: 20 T-shirts, 5 caps, pickup at Main Street"}),
    ]


@pytest.mark.parametrize(
    "said",
    [
        ("twenty shirts and five caps", "hari", "double eight four eight eight five oh nine double two",
         "h at example dot com", "main street", "yes please"),
        ("1*20*2*5", "*", "8848850922", "*", "1", "1"),
    ],
)  # fmt: skip
def test_a_bulk_order_can_be_spoken_and_keyed(said):
    done = talk(shipped("bulk_order"), *said, spoken=True)
    assert done.outcome is Outcome.COMPLETED
    assert values(done)["items"] == ITEMS
    assert values(done)["phone"] == "8848850922"
    assert values(done)["pickup"] == "Main Street"


def test_a_call_back_is_arranged_after_a_missed_call():
    callback = shipped("callback")
    assert flows.by_event([shipped("bulk_order"), callback], "missed_call") is callback
    asked = talk(callback, "Hari, tomorrow at 5 pm")
    assert asked.text == "We will call you, Hari: Sun 22 Nov, 17:00. Is that right?"
    done = flows.step(callback, asked.state, "yes", at=AT, by="m9")
    assert done.text == "Thank you. We will call you Sun 22 Nov, 17:00."
    assert ("hand_over", {"reason": "Call back Hari: Sun 22 Nov, 17:00"}) in [
        (one.kind, dict(one.parameters)) for one in done.completions
    ]


@pytest.mark.parametrize("said", [("hari", "tomorrow at five pm", "yes"), ("*", "2", "1")])
def test_a_call_back_can_be_spoken_and_keyed(said):
    done = talk(shipped("callback"), *said, spoken=True)
    assert (done.outcome, done.spoken[:27]) == (Outcome.COMPLETED, "Thank you. We will call you")


@pytest.mark.parametrize(
    "said",
    [
        "Name is Hari and phone number is 8848850922 and email is h@example.com",
        "email is h@example.com, phone 8848850922 and my name is Hari",
        "I'm Hari, h@example.com, 8848850922",
        "Hari\n8848850922\nh@example.com",
        "Hari 8848850922 h@example.com",
        "name=Hari;phone=8848850922;email=h@example.com",
        "Name - Hari\nMobile - 8848850922\nEmail id - h@example.com",
        "You can reach me at h@example.com or 8848850922. Hari",
        "this is Hari, call me on 884-885-0922, my e-mail's h at example dot com",
        "Phone:\n8848850922\nName:\nHari\nE-mail:\nh@example.com",
    ],
)
def test_one_message_fills_several_fields_in_any_order(said):
    asked = talk(shipped("bulk_order"), "20 shirts", said)
    assert asked.state.step == "pickup"
    assert set(asked.filled) == {"name", "phone", "email"}
    assert {name: values(asked)[name] for name in asked.filled} == {
        "name": "Hari", "phone": "8848850922", "email": "h@example.com",
    }  # fmt: skip


def test_what_is_still_missing_is_asked_for_by_itself():
    asked = talk(shipped("bulk_order"), "20 shirts", "8848850922")
    assert (asked.text, asked.state.asking) == ("And what name shall I put it under?", "name")


def test_names_of_other_scripts_and_directions_are_kept_as_they_are():
    asked = talk(shipped("bulk_order"), "٢٠ shirts", "محمد علي\n٨٨٤٨٨٥٠٩٢٢")
    assert (values(asked)["name"], values(asked)["phone"]) == ("محمد علي", "8848850922")


def test_steps_that_are_answered_already_are_skipped():
    asked = talk(rich(), begin="I want to book a table for 4 tomorrow at 7 pm")
    assert asked.state.step == "table"
    assert values(asked) == {"guests": 4, "day": "2026-11-22T19:00"}
    assert asked.text == "Welcome to A table.\nWhich table?\n1 Window\n2 Garden\n3 Quiet corner"
    assert [option.value for option in asked.choices] == ["Window", "Garden", "Quiet corner"]


def test_what_is_known_otherwise_is_not_asked_for():
    known = {"name": "Hari", "phone": "8848850922", "email": "no address", "nonsense": "x", "confirm": "yes"}
    asked = talk(shipped("bulk_order"), "20 shirts", values=known)
    assert asked.state.asking == "email"
    assert values(asked)["name"] == "Hari"
    assert "confirm" not in values(asked)


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        ("no, the e-mail is x@y.com", "email", "x@y.com"),
        ("no, x@y.com", "email", "x@y.com"),
        ("nope. x@y.com", "email", "x@y.com"),
        ("yes, x@y.com", "email", "x@y.com"),
        ("no, 98765 43210", "phone", "9876543210"),
        ("x@y.com", "email", "x@y.com"),
        ("my new number is 030 1234567", "phone", "0301234567"),
        ("my name is Hari not Harry", "name", "Hari"),
        ("it's Hari, not Harry", "name", "Hari"),
        ("not Harry but Hari", "name", "Hari"),
        ("Harry is wrong, it's Hari", "name", "Hari"),
        ("change pickup to airport", "pickup", "Airport Road"),
        ("airport road instead", "pickup", "Airport Road"),
        ("make it 30 shirts", "items", [{"item": "T-shirts", "quantity": 30}, ITEMS[1]]),
        ("yes but change the shirts to 40", "items", [{"item": "T-shirts", "quantity": 40}, ITEMS[1]]),
        ("caps should be 10", "items", [ITEMS[0], {"item": "caps", "quantity": 10}]),
        ("20 caps not 5", "items", [ITEMS[0], {"item": "caps", "quantity": 20}]),
        ("also 5 mugs", "items", [*ITEMS, {"item": "mugs", "quantity": 5}]),
        ("remove the caps please", "items", [ITEMS[0]]),
    ],
)
def test_a_summary_is_corrected_and_confirmed_again(said, field, value):
    asked = talk(shipped("bulk_order"), *ORDER, said)
    assert (asked.state.step, asked.filled) == ("confirm", (field,))
    assert asked.state.values[field] == value
    assert "Shall I place the order?" in asked.text


def test_several_corrections_come_in_one_message():
    asked = talk(shipped("bulk_order"), *ORDER, "please change the phone number to 0301234567 and the name to Anna")
    assert (values(asked)["phone"], values(asked)["name"]) == ("0301234567", "Anna")


def test_a_quantity_is_changed_by_itself_where_there_is_one_thing():
    order = shipped("bulk_order")
    changed = talk(order, "20 shirts", "change the quantity to 30")
    assert values(changed)["items"] == [{"item": "T-shirts", "quantity": 30}]
    assert changed.text.startswith("Noted, Order: 30 T-shirts.\nGot it: 30 T-shirts.")
    unclear = talk(order, *ORDER, "change the quantity to 30")
    assert values(unclear)["items"] == ITEMS
    assert unclear.text.startswith("What should I change?")


def test_a_time_alone_is_another_time_of_the_same_day():
    asked = talk(shipped("callback"), "Hari, tomorrow at 5 pm", "no, at 10")
    assert values(asked)["time"] == "2026-11-22T10:00"


@pytest.mark.parametrize("said", ["no", "wait, change something", "No, that is all wrong"])
def test_who_says_no_is_asked_what_to_change_and_chooses_by_number_or_name(said):
    order = shipped("bulk_order")
    menu = talk(order, *ORDER, said)
    assert menu.text == "What should I change?\n1 Order\n2 Name\n3 Phone\n4 E-mail\n5 Pickup"
    assert [option.value for option in menu.choices] == ["Order", "Name", "Phone", "E-mail", "Pickup"]
    for choice in ("2", "name", "my name", "the name"):
        asked = flows.step(order, menu.state, choice, at=AT, by="m8")
        assert asked.text == "And what name shall I put it under?"
        again = flows.step(order, asked.state, "Anna", at=AT, by="m9")
        assert (again.state.step, values(again)["name"]) == ("confirm", "Anna")


def test_nothing_to_change_after_all_is_confirmed_again_and_never_taken_for_a_yes():
    asked = talk(shipped("bulk_order"), *ORDER, "no", "nothing")
    assert (asked.state.step, asked.state.asking) == ("confirm", "confirm")
    assert "Shall I place the order?" in asked.text


@pytest.mark.parametrize("said", ["the phone is wrong", "wrong number", "change my phone number", "correct the phone"])
def test_a_field_that_is_only_said_to_be_wrong_is_asked_for_again(said):
    asked = talk(shipped("bulk_order"), *ORDER, said)
    assert (asked.state.asking, "phone" in values(asked)) == ("phone", False)
    assert talk(shipped("bulk_order"), *ORDER, said, "0301234567").state.step == "confirm"


def test_a_correction_in_the_middle_is_noted_and_the_question_asked_again():
    asked = talk(shipped("bulk_order"), *ORDER[:2], "sorry, the e-mail is x@y.com")
    assert asked.text.startswith("Noted, E-mail: x@y.com.\nWhere would you like to pick it up?")


def test_a_yes_with_a_but_orders_nothing():
    asked = talk(shipped("bulk_order"), *ORDER, "yes but cheaper")
    assert asked.outcome is Outcome.ASKED_AGAIN


def test_branches_follow_the_answers():
    assert talk(rich(), "4").state.step == "day"
    assert talk(rich(), "25").state.step == "hall"
    ended = talk(rich(), "25", "no")
    assert (ended.state.step, ended.outcome, ended.text) == (
        "sorry", Outcome.CANCELED, "Then we cannot seat 25, sorry.",
    )  # fmt: skip


def test_a_way_back_says_why_and_asks_anew():
    asked = talk(rich(), "150")
    assert asked.text == "We have room for 99 at most.\nFor how many?"
    assert (asked.state.step, values(asked)) == ("guests", {})
    assert talk(rich(), "150", "120").text == asked.text, "it is said each time"


def test_values_of_a_way_that_was_left_are_not_handed_on():
    table = rich()
    said = ("25", "yes", "tomorrow", "quiet corner", "a candle", "Hari 8848850922", "skip", "none", "none")
    asked = talk(table, *said, "the table is the garden")
    assert "a candle" not in asked.text
    done = flows.step(table, asked.state, "yes", at=AT, by="m99")
    assert "wish" not in values(done)
    assert "candle" not in str(done.completions)


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("0", "It has to be 1 or more."),
        ("501", "It can be 500 at most."),
        ("2.5", "It has to be a whole number."),
        ("lots", "Sorry, I did not get that. Please send a number."),
        ("", "Sorry, I did not get that. Please send a number."),
        ("what?", "For how many?"),
    ],
)
def test_an_answer_that_does_not_fit_is_asked_for_again_and_says_why(said, reply):
    asked = talk(rich(), said)
    assert (asked.outcome, asked.text, asked.state.tries) == (Outcome.ASKED_AGAIN, reply, 1)


def test_the_file_words_its_own_retry():
    seated = ("4", "tomorrow", "garden", "Hari 8848850922", "skip")
    assert talk(rich(), *seated, "the blue one").text == "A voucher looks like AB-1234. Send skip if you have none."


def test_what_is_not_on_offer_is_named_with_what_is():
    seated = ("4", "tomorrow", "garden", "Hari 8848850922", "skip", "none")
    assert talk(rich(), *seated, "3 chicken").text == (
        "Sorry, we have no chicken. What there is:\n1 menus with fish\n2 menus without"
    )


def test_a_broken_address_is_said_to_be_one_and_is_nobodys_name():
    asked = talk(shipped("bulk_order"), "20 shirts", "h@example,com")
    assert asked.text.startswith("That e-mail address does not look right.")
    assert "name" not in values(asked)


def test_after_as_many_tries_as_the_file_allows_it_is_given_up():
    given_up = talk(shipped("bulk_order"), "hm", "what is this", "eh")
    assert (given_up.outcome, given_up.state.step, given_up.state.is_active) == (Outcome.GIVEN_UP, "given_up", False)
    assert [one.kind for one in given_up.completions] == ["hand_over"]
    assert talk(shipped("bulk_order"), "hm", "20 shirts").state.tries == 0


@pytest.mark.parametrize("said", ["cancel", "Never mind!", "cancel my order please", "forget it"])
@pytest.mark.parametrize("before", [(), ORDER])
def test_a_cancel_word_ends_it_at_any_time(before, said):
    ended = talk(shipped("bulk_order"), *before, said)
    assert ended.outcome is Outcome.CANCELED
    assert ended.text.startswith("All right, nothing is ordered.")
    assert ended.completions == ()


def test_a_cancel_word_inside_an_answer_is_part_of_it():
    seated = ("4", "tomorrow", "quiet corner")
    assert values(talk(rich(), *seated, "please never mind the noise"))["wish"] == "please never mind the noise"
    assert talk(rich(), *seated, "laat maar").outcome is Outcome.CANCELED


def test_an_answer_at_the_last_moment_counts_and_one_after_it_does_not():
    table = rich()
    asked = talk(table, "4")
    last = asked.state.waiting_since + table.timeout
    assert flows.step(table, asked.state, "tomorrow", at=last, by="m2").state.step == "table"
    late = flows.step(table, asked.state, "tomorrow", at=last + timedelta(milliseconds=1), by="m2")
    assert (late.outcome, late.state.step, late.text) == (Outcome.EXPIRED, "expired", "")
    assert flows.is_over(table, asked.state, last + timedelta(seconds=1))
    assert not flows.is_over(table, late.state, last + timedelta(days=9)), "what has ended waits for nothing"


@pytest.mark.parametrize(
    "again", [flows.cancel, flows.expire, lambda flow, state, **by: flows.step(flow, state, "yes", **by)]
)
def test_an_end_is_an_end_and_keeps_its_reply(again):
    order = shipped("bulk_order")
    done = talk(order, *ORDER, "yes")
    repeated = again(order, done.state, at=AT + timedelta(days=30), by="other")
    assert (repeated.state, repeated.text, repeated.outcome, repeated.completions) == (
        done.state, done.text, Outcome.COMPLETED, (),
    )  # fmt: skip


def test_a_state_holds_the_message_that_led_to_it_and_what_it_was_answered():
    asked = talk(shipped("bulk_order"), "20 shirts")
    assert (asked.state.advanced_by, asked.state.reply, asked.state.run) == ("m1", asked.text, "run")
    assert State.read(asked.state.as_stored() | {"of_a_later_version": 1}) == asked.state
    with pytest.raises(KeyError):
        State.read({"flow": "bulk_order"})


def test_a_file_that_changed_goes_on_where_its_step_is_still_there():
    asked = talk(rich(), "4", "tomorrow")
    edited = parsed(RICH.replace("version = 3", "version = 4").replace('prompt = "For when?"', 'prompt = "Which day?"'))
    on = flows.step(edited, asked.state, "garden", at=AT, by="m9")
    assert (on.state.step, on.state.version, values(on)["guests"]) == ("contact", 4, 4)


def test_a_file_without_the_step_somebody_is_at_begins_again_with_what_still_fits():
    asked = talk(rich(), "4", "tomorrow", "garden", "Hari 8848850922", "skip")
    edited = parsed(RICH.replace("[steps.voucher]", "[steps.coupon]").replace("max = 500", "max = 3"))
    again = flows.step(edited, asked.state, "AB-1234", at=AT, by="m9")
    assert again.text.startswith("Sorry, our questions have changed since, so let us begin again.")
    assert (again.state.step, again.state.asking) == ("guests", "guests")
    assert flows.step(edited, again.state, "2", at=AT, by="m10").state.step == "coupon"


def test_long_rubbish_is_refused_and_never_stored_whole():
    seated = ("4", "tomorrow", "quiet corner")
    asked = talk(rich(), *seated, "x" * 5000)
    assert asked.text == "Sorry, that is too long for me. Please use fewer words."
    assert "wish" not in values(asked)


def test_a_text_with_the_words_of_a_template_is_not_filled_in_again():
    asked = talk(rich(), "4", "tomorrow", "quiet corner", "{phone} [{name}]", "Hari 8848850922", "skip", "none", "none")
    assert "Wish: {phone} [{name}]" in asked.text


@pytest.mark.parametrize(
    ("said", "begun"),
    [
        ("please don't call me back", None),
        ("I never asked for a callback", None),
        ("cancel my bulk order", None),
        ("I do not want to place a bulk order", None),
        ("no need to call me back", None),
        ("I work in wholesale", None),
        ("Don't worry, call me back tomorrow", "callback"),
        ("no please call me back", "callback"),
        ("you did not answer so call me back", "callback"),
        ("Not a callback! Well, yes, a callback", "callback"),
    ],
)
def test_words_that_somebody_refuses_begin_no_flow(said, begun):
    found = flows.starts([shipped("callback"), shipped("bulk_order")], said)
    assert (found and found.name) == begun


def test_what_begins_a_flow_is_its_longest_phrase_as_whole_words():
    both = [shipped("callback"), shipped("bulk_order")]
    assert flows.starts(both, "Hello, a BULK order please").name == "bulk_order"
    assert flows.starts(both, "please call me back").name == "callback"
    assert flows.starts(both, "bulky") is None
    assert flows.starts(both, "") is None
    assert flows.by_intent(both, "bulk_order").name == "bulk_order"
    assert flows.by_intent(both, "weather") is None


def test_answers_may_come_with_the_words_that_begin_it():
    asked = talk(shipped("bulk_order"), begin="Wholesale: 100 caps, 50 mugs. h@example.com, I'm Hari")
    assert values(asked) == {
        "items": [{"item": "caps", "quantity": 100}, {"item": "mugs", "quantity": 50}],
        "email": "h@example.com", "name": "Hari",
    }  # fmt: skip
    assert asked.filled == tuple(asked.state.values)


def test_dates_are_those_of_the_flows_own_clock():
    late = AT.replace(hour=23, minute=30)  # half past midnight in Berlin
    asked = talk(rich(), "4")
    on = flows.step(rich(), replace(asked.state, waiting_since=late), "tomorrow", at=late, by="m2")
    assert on.state.values["day"] == "2026-11-23"


PAID = """
title = "Order"
[steps.quantity]
kind = "number"
prompt = "How many?"
[steps.sure]
confirm = true
[steps.payment]
kind = "choice"
options = ["Cash", "Card"]
prompt = "How will you pay?"
"""


def test_what_was_confirmed_is_confirmed_again_once_it_is_different():
    paying = talk(parsed(PAID), "5", "yes")
    assert paying.state.step == "payment"
    changed = flows.step(parsed(PAID), paying.state, "sorry, the quantity is 6", at=AT, by="m9")
    assert (changed.state.step, changed.text.startswith("Noted, Quantity: 6.")) == ("sure", True)


def test_a_state_stays_small_whatever_is_written_in_however_many_fields():
    asks = [f'[steps.part{n}]\nkind = "text"\nmax = 1000\nprompt = "{{part0}}{{part0}} Part {n}?"\n' for n in range(20)]
    essay = parsed('title = "Essay"\ntries = 10\n' + "".join(asks))
    told = talk(essay, *(["🙂" * 900] * 5))
    assert told.text == "Sorry, that is too long for me. Please use fewer words."
    assert len(bson.encode(told.state.as_stored())) < 16_000
    longest = talk(essay, "🙂" * 1000)
    assert len(longest.text.encode()) <= 4800
    assert len(bson.encode(longest.state.as_stored())) < 16_000


def test_an_end_hands_on_nothing_that_the_file_has_no_place_for_any_more():
    asked = talk(rich(), "4", "tomorrow", "garden")
    smaller = RICH.replace("max = 500", "max = 3")
    edited = parsed(f"{smaller}\n[endings.expired]\ntext = '{{guests}}'")
    ended = flows.expire(edited, asked.state, at=AT, by="m9")
    assert (ended.text, "guests" in values(ended)) == ("", False)


@pytest.mark.parametrize(
    ("said", "items"),
    [
        ("30 not 20", "30 T-shirts, 5 caps"),
        ("no, not 20 but 30", "30 T-shirts, 5 caps"),
        ("scrap the caps", "20 T-shirts"),
        ("I don't need the caps", "20 T-shirts"),
        ("forget about the caps please", "20 T-shirts"),
        ("8 mugs instead of the caps", "20 T-shirts, 8 mugs"),
        ("8 mugs instead of 5 caps", "20 T-shirts, 8 mugs"),
        ("add 8 mugs", "20 T-shirts, 5 caps, 8 mugs"),
    ],
)
def test_a_list_is_put_right_as_people_say_it(said, items):
    asked = talk(shipped("bulk_order"), *ORDER, said)
    assert f"Order: {items}\n" in asked.text


def test_another_thing_instead_takes_the_place_of_the_only_one_and_is_asked_about_among_several():
    one = talk(shipped("bulk_order"), "10 caps", "I changed my mind, 10 mugs instead")
    assert values(one)["items"] == [{"item": "mugs", "quantity": 10}]
    assert "What should I change?" in talk(shipped("bulk_order"), *ORDER, "8 mugs instead").text


@pytest.mark.parametrize(
    "said",
    ["I changed my mind, forget the whole thing", "no, sorry, cancel", "actually I want to cancel", "Scrap it!",
     "ok never mind"],
)  # fmt: skip
def test_a_flow_is_canceled_in_the_words_people_have_for_that(said):
    assert talk(shipped("bulk_order"), "10 caps", said).outcome is Outcome.CANCELED


@pytest.mark.parametrize("said", ["cancel the caps", "no, cancel the caps"])
def test_a_part_that_is_canceled_ends_nothing(said):
    assert "Order: 20 T-shirts\n" in talk(shipped("bulk_order"), *ORDER, said).text


def test_an_hour_alone_is_another_time_of_the_day_that_was_said():
    asked = talk(shipped("callback"), "Sue, saturday at 10", "actually make it 11")
    assert asked.text == "We will call you, Sue: Sat 28 Nov, 11:00. Is that right?"


def test_a_caller_who_chose_nothing_hears_the_choices_again():
    asked = talk(shipped("bulk_order"), "1*20", "*", "8848850922", "*", "7", spoken=True)
    assert asked.spoken.endswith("Please choose one of these. For Main Street press 1, for Airport Road press 2.")


TABLE = """
title = "Book a table"

[steps.guests]
kind = "number"
prompt = "For how many people?"

[steps.day]
kind = "date"
prompt = "For which day and time?"

[steps.name]
kind = "name"
prompt = "What name?"
"""


def test_what_was_said_is_put_right_while_something_else_is_asked():
    asked = talk(parsed(TABLE), "4", "saturday 8pm", "no, 7:30")
    assert values(asked) == {"guests": 4, "day": "2026-11-28T19:30"}
    assert asked.text == "Noted, Day: Sat 28 Nov, 19:30.\nWhat name?"
    assert values(talk(parsed(TABLE), "4", "saturday 8pm", "5 people actually"))["guests"] == 5
    assert values(talk(parsed(TABLE), "4", "saturday 8pm", "no, 9 am"))["day"] == "2026-11-28T09:00"

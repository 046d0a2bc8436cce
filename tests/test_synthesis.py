"""Rounds of asking and choosing: what is kept, what is asked again, and the reason of every other reply."""

from dataclasses import dataclass, field

import pytest

from mashq.lm import Decoding, Reply
from mashq.rows import MashqError
from mashq.synthesis import Asked, Draft, Synthesis, Wanted

WARM = Decoding(max_new_tokens=50, temperature=1.0)
FILL = "ذهب الرجل إلى السوق واشترى خبزا وزيتونا وعاد إلى بيته قبل الغروب"


@dataclass(frozen=True)
class Lines:
    """Asks for `want: KEY`; a reply is `score opening rest…`, anything else cannot be read."""

    name: str = "lines"
    identity: str = "lines:1"

    def ask(self, wanted, attempt, avoid):
        told = f" not {','.join(avoid)}" if avoid else ""
        return (("user", f"want: {wanted.key} attempt {attempt}{told}"),)

    def read(self, wanted, attempt, reply):
        score, _, text = reply.partition(" ")
        try:
            value = float(score)
        except ValueError:
            return Draft(reason=f"unreadable: {reply[:20]}")
        fields = {"text": text}
        if value < 0.5:
            return Draft(fields, reason=f"low: {value} < 0.5", score=value, mend="more" if value >= 0.3 else None)
        return Draft(fields, score=value, opening=text.split()[0] if text else "", alike=text)

    def questions(self, wanted, draft):
        return [(("user", f"good? {draft.fields['text']}"),), (("user", f"long? {draft.fields['text']}"),)]

    def verdict(self, reply):
        return {"نعم": True, "لا": False}.get(reply)


@dataclass
class Model:
    """Replies by a function of (last message, sample); remembers what it was asked, a round a list."""

    say: object
    rounds: list = field(default_factory=list)

    def __call__(self, requests):
        self.rounds.append([(one.messages[-1][1], one.sample) for one in requests])
        replies = [self.say(one.messages[-1][1], one.sample) for one in requests]
        return [one if isinstance(one, Reply) else Reply(text=one, finish="stop") for one in replies]


def wanted(n):
    return [Wanted(f"k{i}", {"i": i}) for i in range(n)]


def run(say, n=1, judge=None, **settings):
    model = Model(say)
    engine = Synthesis(Lines(), Asked(decoding=WARM, **settings), model, judge and Model(judge))
    return list(engine.write(wanted(n))), model


def reasons(written):
    return [one.draft.reason for one in written]


def test_the_best_of_several_replies_is_kept():
    scores = ["0.6", "0.9", "x", "0.9"]
    (written,), model = run(lambda message, sample: f"{scores[sample]} {FILL} {sample}", samples=4)
    assert reasons(written) == [
        "not the best: 0.60 <= 0.90 of another reply",
        None,
        "unreadable: x ذهب الرجل إلى السو",
        "not the best: 0.90 <= 0.90 of another reply",
    ]
    assert [one.number for one in written] == [0, 1, 2, 3]
    assert len(model.rounds) == 1


def test_what_failed_is_asked_again_and_no_more_than_tries():
    (first, second), model = run(
        lambda message, sample: f"0.8 {FILL} {message}" if "k0 attempt 1" in message else "no", n=2, alike=1.01
    )
    assert reasons(first) == ["unreadable: no", None]
    assert reasons(second) == ["unreadable: no"] * 3
    assert [len(asked) for asked in model.rounds] == [2, 2, 1]
    # The same prompt again would be another draw: samples count on over attempts.
    assert [sample for asked in model.rounds for _, sample in asked] == [0, 0, 1, 1, 2]


def test_a_near_miss_is_told_what_was_wrong_once_an_attempt():
    (written,), _ = run(lambda message, sample: "0.9 ok" if message == "more" else "0.4 almost")
    assert [(one.mended, one.draft.reason) for one in written] == [(False, "low: 0.4 < 0.5"), (True, None)]
    assert written[1].prompt == (
        ("user", "want: k0 attempt 0"),
        ("assistant", "0.4 almost"),
        ("user", "more"),
    )
    (written,), _ = run(lambda message, sample: "0.4 never", tries=2)
    assert [one.mended for one in written] == [False, True, False, True]
    (written,), _ = run(lambda message, sample: "0.4 never", tries=2, repair=False)
    assert len(written) == 2
    (written,), _ = run(lambda message, sample: "0.1 hopeless", tries=1)
    assert [one.mended for one in written] == [False]


def test_of_texts_nearly_alike_the_first_is_kept():
    (first, second), _ = run(lambda message, sample: f"0.8 {FILL}", n=2, tries=1)
    assert reasons(first) == [None]
    assert reasons(second) == ["alike: 1.00 >= 0.7 to k0"]
    both, _ = run(lambda message, sample: f"0.8 {FILL}", n=2, tries=1, alike=1.01)
    assert [reasons(one) for one in both] == [[None], [None]]


def test_the_second_best_is_kept_where_the_best_is_like_another_text():
    def say(message, sample):
        return f"0.9 {FILL}" if sample == 0 or "k0" in message else "0.6 حكاية أخرى لا تشبه الأولى في شيء أبدا"

    (_, second), _ = run(say, n=2, samples=2, at_once=1)
    assert reasons(second) == ["alike: 1.00 >= 0.7 to k0", None]


def test_openings_are_used_up_and_told():
    texts = {
        f"k{i}": f"كان{'' if i < 20 else 'ت'} {i} {' '.join(str(i * 7 + j) for j in range(12))}" for i in range(41)
    }

    def say(message, sample):
        key = message.split()[1]
        return f"0.8 {texts[key]}" if "not" not in message else f"0.8 ثم {message} {texts[key]}"

    found, model = run(say, n=41, at_once=20, most_opening=0.5)
    assert [reasons(one) for one in found[:20]] == [[None]] * 20  # too few to say that one is frequent
    told = [message for asked in model.rounds[1:] for message, _ in asked]
    assert told and all(" not كان" in message for message in told)
    strict, _ = run(
        lambda message, sample: f"0.8 {texts[message.split()[1]]}", n=41, at_once=20, most_opening=0.3, tries=1
    )
    assert reasons(strict[20])[0] is None
    last = [one for several in strict for one in reasons(several) if one]
    assert last and all(one.startswith("opening: 0.3") for one in last)


def test_a_cut_reply_is_dropped_unless_cuts_are_expected():
    cut = Reply(text=f"0.9 {FILL}", finish="length")
    (written,), _ = run(lambda message, sample: cut, tries=1)
    assert reasons(written) == ["cut: 50 new tokens, the limit"]
    (written,), _ = run(lambda message, sample: cut, tries=1, whole=False)
    assert reasons(written) == [None]


def test_a_request_that_failed_is_an_attempt():
    (written,), _ = run(
        lambda message, sample: Reply.failed("server: HTTP 500") if "attempt 0" in message else f"0.8 {FILL}"
    )
    assert reasons(written) == ["no reply: server: HTTP 500", None]


def test_a_judge_has_a_say_in_what_is_sound():
    def judge(message, sample):
        return {"good? a": "لا", "long? a": "لا", "good? b": "نعم", "long? b": "hm"}[message]

    (written,), _ = run(lambda message, sample: "0.9 a" if sample == 0 else "0.6 b", samples=2, judge=judge)
    assert reasons(written) == ["judge: 0.00 of 2 questions < 0.5", None]
    assert [one.draft.score for one in written] == [0.45, 0.8]


def test_a_judge_that_says_nothing_readable_keeps_nothing():
    (written,), _ = run(lambda message, sample: f"0.9 {FILL}", tries=1, judge=lambda message, sample: "hm")
    assert reasons(written) == ["judge: no verdict that can be read of 2 questions"]
    assert written[0].draft.checks == {"judge": "judge: no verdict that can be read of 2 questions"}
    (written,), _ = run(
        lambda message, sample: f"0.9 {FILL}", tries=1, judge=lambda message, sample: Reply.failed("down")
    )
    assert reasons(written) == ["judge: no verdict that can be read of 2 questions"]


def test_order_and_rounds_depend_on_replies_alone():
    def say(message, sample):
        number = int(message.split()[1][1:]) if message != "more" else 0
        return f"0.8 {FILL} {number} " + " ".join(str(number * 31 + j) for j in range(30)) if number % 3 else "no"

    one, model = run(say, n=10, at_once=4)
    other, again = run(say, n=10, at_once=4)
    assert [[w.wanted.key for w in several] for several in one] == [
        [w.wanted.key for w in several] for several in other
    ]
    assert model.rounds == again.rounds
    assert sorted(several[0].wanted.key for several in one) == sorted(w.key for w in wanted(10))
    assert max(len(asked) for asked in model.rounds) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"samples": 0}, r"synthesis: samples is 1 or more, got 0"),
        ({"tries": 0, "alike": 0.0}, r"tries is 1 or more, got 0; alike is above 0, got 0"),
        ({"decoding": Decoding(max_new_tokens=5), "samples": 2}, r"samples: expected 1 with greedy decoding, got 2"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(MashqError, match=message):
        Asked(**settings)


def test_a_judge_needs_questions():
    @dataclass(frozen=True)
    class Plain:
        name: str = "plain"
        identity: str = "plain:1"
        ask = Lines.ask
        read = Lines.read

    with pytest.raises(MashqError, match=r"a judge is named, but plain texts come without questions"):
        Synthesis(Plain(), Asked(), Model(None), Model(None))


def tried(say, n, trial, **settings):
    model = Model(say)
    engine = Synthesis(Lines(), Asked(decoding=WARM, **settings), model, trial=trial)
    return engine, model


def test_a_writer_whose_first_replies_are_worth_nothing_is_asked_no_more():
    engine, model = tried(lambda said, sample: "ليس رقما", 50, 10, samples=2)
    with pytest.raises(MashqError, match=r"the first 10 replies.*none \(unreadable: 10\).*other 40 or more"):
        list(engine.write(wanted(50)))
    assert [len(one) for one in model.rounds] == [10]


@pytest.mark.parametrize("one_of_ten", ["0.9 سطر", "0.4 ناقص"])
def test_a_trial_that_finds_one_text_or_near_miss_changes_nothing(one_of_ten):
    def say(said, sample):
        return one_of_ten if said.startswith("want: k3 ") else "ليس رقما"

    engine, model = tried(say, 50, 10, tries=2)
    found = list(engine.write(wanted(50)))
    assert model.rounds[0] == model.rounds[1][:10]  # a ledger has them by then
    assert [reasons(one) for one in found] == [reasons(one) for one in Synthesis(
        Lines(), Asked(decoding=WARM, tries=2), Model(say)
    ).write(wanted(50))]  # fmt: skip


def test_near_misses_are_worth_nothing_where_nothing_is_mended():
    engine, _ = tried(lambda said, sample: "0.4 ناقص", 50, 10, repair=False)
    with pytest.raises(MashqError, match="none"):
        list(engine.write(wanted(50)))


def test_no_trial_where_all_is_asked_in_it():
    engine, model = tried(lambda said, sample: "ليس رقما", 10, 10, tries=1)
    assert len(list(engine.write(wanted(10)))) == 10
    assert [len(one) for one in model.rounds] == [10]

"""A template from a stranger reads no file, reaches no attribute of Python's, and neither spins nor swells."""

import time
import tracemalloc
from pathlib import Path

import pytest

from mashq.rows import MashqError
from mashq.templates import Dataset, Dialect, Forbidden, Rendered, Template, render
from mashq.templates.files import load
from mashq.templates.sandbox import LIMITS, Limits

ROW = {"text": "نص قصير", "words": ["كتاب", "قلم"], "record": {"name": "سعاد", "items": 3}}

SWELLS = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ text * 1000000 }}",
    "{{ [1] * 10**9 }}",
    "{{ words * 100000000 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{% set ns = namespace(n=3) %}{% for i in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=1000000000) }}",
    "{{ text.replace('', text * 50000) }}",
    "{{ text | replace('', text * 100000) }}",
    "{{ range(10**9) | list }}",
    "{{ range(10**9) | sum }}",
    "{{ 1 | round(10**9) }}",
    "{{ [1] | batch(10**9, 'x') | list }}",
    "{{ (text * 20000) | map('default') | join(text * 20000) }}",
    "{{ range(100000) | map('string') | map('replace', '', text * 100) | join }}",
    "{{ ([''] * 20000) | map('default', text * 1000, true) | list | string }}",
    # doubling, each way
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = [n.x, n.x] | join %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = '%s%s' % (n.x, n.x) %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = '{0}{0}'.format(n.x) %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = ''.join([n.x, n.x]) %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}"
    "{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}{{ n.x }}",
    # lists that hold themselves many times
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = dict(a=n.x, b=n.x) %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}"
    "{% set n.x = ['', ''] | map('default', n.x, true) | list %}{% endfor %}{{ n.x }}",
]
SPINS = [
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% for a in range(100000) %}{% for b in range(100000) if false %}{% endfor %}{% endfor %}",
    "{% for a in range(100000) %}نص طويل يتكرر ويتكرر{% for b in range(100000) %}{{ b }}{% endfor %}{% endfor %}",
    "{% for a in range(100000) %}{{ range(100000) | select('odd') | list | length }}{% endfor %}",
    "{% for a in range(100000) %}{{ range(100000) | sort | last }}{% endfor %}",
    "{% for a in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "{% for a in range(40) recursive %}{{ loop(range(40)) if loop.depth < 9 }}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
]
REACHES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ [''] | map(attribute='__class__') | list }}",
    "{{ [''] | map('attr', '__class__') | list }}",
    "{{ [''] | selectattr('__class__') | list }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{0[__class__]}'.format('') }}",
    "{{ ('{0.__cl' ~ 'ass__}').format('') }}",
    "{{ ''.format.__self__ }}",
    "{{ '{}'.format_map({}) }}",
    "{{ self.__init__.__globals__ }}",
    "{{ range.__init__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ cycler('a').__class__ }}",
    "{{ text.encode('utf-8') }}",
    "{{ text.center(100000000) }}",
    "{{ text.ljust(100000000) }}",
    "{{ text.expandtabs(100000000) }}",
    "{{ text.zfill(100000000) }}",
    "{{ text.translate({}) }}",
    "{{ (1).to_bytes(1000000000, 'big') }}",
    "{{ words.append('x') }}",
    "{{ words.clear() }}",
    "{{ words | attr('append') }}",
    "{{ record.update({'a': 1}) }}",
    "{{ record.pop('name') }}",
    "{% macro f() %}{% endmacro %}{{ f.__call__ }}",
    "{% for a in words %}{{ loop.__init__ }}{% endfor %}",
    "{{ (words | groupby('a')).gi_frame }}",
    "{{ (words | map('upper')).gi_frame.f_globals }}",
    "{{ config }}",
    "{{ cycler.__init__.__globals__.os.popen('id') }}",
    "{{ lipsum(n=100000) }}",
]
UNKNOWN = [
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import path %}",
    "{% extends 'base.html' %}",
    "{% block a %}{% endblock %}",
    "{% autoescape true %}{{ text }}{% endautoescape %}",
    "{{ text | pprint }}",
    "{{ text | center(100000000) }}",
    "{{ text | indent(100000000) }}",
    "{{ text | xmlattr }}",
    "{{ words | slice(1000000000) | list }}",
    "{{ text | nofilter }}",
    "{{ text is notest }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{% if text %}" * 500 + "{% endif %}" * 500,
    "a" * (LIMITS.source + 1),
]


def template(jinja: str, dialect: str = Dialect.PLAIN) -> Template:
    prompt = jinja if dialect == Dialect.PLAIN else jinja + "||| x"
    targets = ("x",) if dialect == Dialect.PLAIN else ()
    return Template(name="bad/one", dataset=Dataset("bad"), prompt=prompt, targets=targets, dialect=dialect)


@pytest.mark.parametrize("dialect", [Dialect.PLAIN, Dialect.PROMPTSOURCE])
@pytest.mark.parametrize("jinja", SWELLS)
def test_a_bomb_stops_small(jinja: str, dialect: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Forbidden, match=r"template 'bad/one'.*not allowed"):
            render(template(jinja, dialect), ROW, b"0" * 16)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dialect", [Dialect.PLAIN, Dialect.PROMPTSOURCE])
@pytest.mark.parametrize("jinja", SPINS)
def test_an_endless_loop_stops_soon(jinja: str, dialect: str) -> None:
    start = time.perf_counter()
    with pytest.raises(Forbidden, match=r"template 'bad/one'.*not allowed"):
        render(template(jinja, dialect), ROW, b"0" * 16)
    assert time.perf_counter() - start < LIMITS.seconds + 2


def test_time_is_the_net_below_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mashq.templates.sandbox.LIMITS", Limits(work=10**9, seconds=0.05))
    with pytest.raises(Forbidden, match=r"more than 0\.05 seconds"):
        render(template(SPINS[0]), ROW, b"0" * 16)


@pytest.mark.parametrize("jinja", REACHES)
def test_no_way_to_python(jinja: str) -> None:
    with pytest.raises(MashqError, match=r"template 'bad/one'"):
        render(template(jinja), ROW, b"0" * 16)


@pytest.mark.parametrize("jinja", UNKNOWN)
def test_what_is_not_in_the_language_is_refused_when_read(jinja: str) -> None:
    with pytest.raises(MashqError, match=r"template 'bad/one'"):
        render(template(jinja), ROW, b"0" * 16)


def test_a_list_that_holds_itself_is_refused() -> None:
    jinja = "{% set a = [] %}{{ a.append(a) }}{{ a | string }}"
    with pytest.raises(Forbidden, match="not allowed"):
        render(template(jinja, Dialect.PROMPTSOURCE), ROW, b"0" * 16)


def test_appending_while_running_over_the_list_ends() -> None:
    jinja = "{% set a = [1] %}{% for x in a %}{{ a.append(x) or '' }}{% endfor %}"
    with pytest.raises(Forbidden, match="more work"):
        render(template(jinja, Dialect.PROMPTSOURCE), ROW, b"0" * 16)


def test_a_template_cannot_change_the_row_for_the_next_one() -> None:
    row = {"words": ["كتاب"], "record": {"a": 1}}
    jinja = "{{ words.append('x') or '' }}{{ record.update({'b': 2}) or '' }}{{ words | length }}"
    made = render(template(jinja, Dialect.PROMPTSOURCE), row, b"0" * 16)
    assert isinstance(made, Rendered)
    assert made.prompt == "2"
    assert row == {"words": ["كتاب"], "record": {"a": 1}}


def test_mutators_are_not_reached_sideways() -> None:
    for jinja in ("{{ words['append']('x') }}", "{{ (words | attr('append'))('x') }}"):
        with pytest.raises(MashqError, match="closed to templates"):
            render(template(jinja, Dialect.PROMPTSOURCE), ROW, b"0" * 16)


def test_the_error_says_what_is_closed_and_what_is_near() -> None:
    with pytest.raises(Forbidden, match=r"'__class__' of a str is closed to templates"):
        render(template("{{ text.__class__ }}"), ROW, b"0" * 16)
    with pytest.raises(MashqError, match=r"line 2: no filter named 'joined'. Did you mean 'join'\?"):
        render(template("سطر\n{{ words | joined }}"), ROW, b"0" * 16)
    with pytest.raises(MashqError, match=r"'center'. Jinja has it, but it is closed to templates"):
        render(template("{{ text | center(5) }}"), ROW, b"0" * 16)


def test_a_long_row_may_be_rendered_whole() -> None:
    row = {"text": "كلمة " * 1_000_000}
    made = render(template("{{ text }}{% for i in range(3) %}{{ text | trim | length }}{% endfor %}"), row, b"0" * 16)
    assert isinstance(made, Rendered)
    assert len(made.prompt) > 4_999_990


def test_yaml_from_a_stranger(tmp_path: Path) -> None:
    bombs = {
        "object.yaml": "dataset: !!python/object/apply:os.system ['true']\ntemplates: {}\n",
        "tag.yaml": "dataset: !Nothing {}\ntemplates: {}\n",
        "merge.yaml": "a: &a {x: 1}\ndataset: {<<: [*a, *a]}\ntemplates: {}\n",
        "deep.yaml": "templates: " + "[" * 3000 + "]" * 3000 + "\n",
    }
    for name, text in bombs.items():
        (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(MashqError, match=name):
            load(tmp_path / name)

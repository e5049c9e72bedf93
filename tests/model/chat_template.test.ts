import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { renderChat } from "../../model/chat_template.ts";
import { DittoError } from "../../model/errors.ts";
import { strftime } from "../../model/strftime.ts";

const MESSAGES = [{ role: "user", content: "  hi  " }];

/** Renders a template; what is expected of it comes from transformers 5.17 with jinja2. */
function render(template: string): string {
  return renderChat(template, MESSAGES, {});
}

/** Each template makes what stands beside it. */
function assertRendered(expected: Record<string, string>): void {
  for (const [template, text] of Object.entries(expected)) {
    assertEquals(render(template), text, template);
  }
}

/** The sentence that a template is refused with. */
function refusal(template: string): string {
  return assertThrows(() => render(template), DittoError).message;
}

Deno.test("strftime() writes dates as Python does in English", () => {
  const format = "%a %A %b %B %c|%d %D %e %f %F %h %H %I %j %m %M %n%p %R %S %t%T %u %w %x %X %y " +
    "%Y%z%Z %% %-d %-m %-H %-I %-M %-S %-j %-y é";
  assertEquals(
    strftime(new Date(2026, 2, 5, 7, 8, 9), format),
    "Thu Thursday Mar March Thu Mar  5 07:08:09 2026|05 03/05/26  5 000000 2026-03-05 Mar 07 07 064 " +
      "03 08 \nAM 07:08 09 \t07:08:09 4 4 03/05/26 07:08:09 26 2026 % 5 3 7 7 8 9 64 26 é",
  );
  const times = (...date: [number, number, number, number, number, number]) =>
    strftime(new Date(...date), "%A %d %B %I %p %j %u %w %-I %-j %y");
  assertEquals(times(2024, 11, 31, 0, 5, 0), "Tuesday 31 December 12 AM 366 2 2 12 366 24");
  assertEquals(times(2023, 0, 1, 12, 0, 59), "Sunday 01 January 12 PM 001 7 0 12 1 23");
  assertEquals(times(2021, 0, 3, 23, 4, 5), "Sunday 03 January 11 PM 003 7 0 11 3 21");
  for (const unknown of ["%Q", "%", "%-", "%-A", "%V", "%_d"]) {
    const { message } = assertThrows(() => strftime(new Date(), `x ${unknown}`), DittoError);
    assertStringIncludes(message, "does not know");
  }
});

Deno.test("renderChat() gives templates the date in English", () => {
  const format = "%A %-d %B %Y %j";
  const before = strftime(new Date(), format);
  const now = render(
    `{% macro f() %}{{ strftime_now('${format}') }}{% endmacro %}{{ f() }}` +
      `{% if strftime_now is not defined %}!{% endif %}`,
  );
  assert([before, strftime(new Date(), format)].includes(now), now); // midnight may pass
  assertStringIncludes(refusal("{{ strftime_now('%V') }}"), '"%V"');
});

Deno.test("renderChat() reads every kind of line end as Python does", () => {
  assertEquals(render("{{ 1 }}\r\n{% if true %}\r\nx\r\n{% endif %}\r\ny"), "1\nx\ny");
  assertEquals(render("x\r{{ 1 }}\r\n\r\ny\r\n"), "x\n1\n\ny");
  assertEquals(render("{{ 'a\r\nb' }}"), "a\nb");
  assertEquals(render("{{ 'a\\r\\nb' }}"), "a\r\nb");
});

Deno.test("renderChat() reads strings as Python does", () => {
  const strings = {
    "{{ 'a\\\nb' }}{{ \"c \\\"d\\\"\\\n\\\ne\" ~ 'f' }}": 'abc "d"ef', // as in Mistral Small 3.1's
    "{{ '\\a\\b\\f\\n\\r\\t\\v\\\\\\'\\\"|\\d\\/\\0|\\101\\1012|\\x41\\u00e9\\U0001F642|\\X41' }}":
      "\x07\b\f\n\r\t\v\\'\"|\\d\\/\0|AA2|Aé🙂|\\X41",
    "{{ 'x {% if true %}\ny-}\n  {# z #}\n {{ w }} %}' }}|":
      "x {% if true %}\ny-}\n  {# z #}\n {{ w }} %}|",
    "{% set s = {'a': {'b': '}} \"'}} %}{{ s.a.b }}{{ {'a': {'b': 1}}['\\141']['b'] }}\nit's {{ 'p' }}\"{# it's #}{{ \"q\" }}":
      '}} "1\nit\'s p"q',
    "{{ '' }}{{ 'é🙂\u2028\x85{a}' }}{% if 'it\\'s' == \"it's\" %}!{% endif %}":
      "é🙂\u2028\x85{a}!",
  };
  assertRendered(strings);
  for (const escape of ["\\N{BULLET}", "\\x4", "\\u00e", "\\U0001F64"]) {
    assertStringIncludes(
      refusal(`{{ 'a${escape}' }}`),
      `does not know: the escape ${escape.slice(0, 2)} in a string. Give the prompt`,
    );
  }
});

Deno.test("renderChat() keeps what was printed before break and continue", () => {
  const loops = {
    "{% for a in [1,2,3] %}<{{a}}>{% if a==2 %}{% break %}{% endif %}{% endfor %}!": "<1><2>!",
    "{% for a in [1,2,3] %}<{{a}}>{% if a==2 %}{% continue %}{% endif %};{% endfor %}!":
      "<1>;<2><3>;!",
    "{% for a in [1,2,3] %}<{{a}}>{% if a==2 %}b{% if a>1 %}c{% continue %}d{% endif %}e{% elif a==3 %}f{% break %}{% else %}g{% endif %};{% endfor %}!":
      "<1>g;<2>bc<3>f!",
    "{% for a in [1,2] %}{% for b in [1,2,3] %}{{a}}{{b}}{% if b==2 %}{% break %}{% endif %},{% endfor %};{% if a==1 %}{% continue %}{% endif %}z{% endfor %}":
      "11,12;21,22;z",
    "{% for a in [1,2] %}{{a}}{% break %}{{ a.b.c }}{% endfor %}": "1",
    "{% for a in [1,2,3] if a != 2 %}{{a}}{{loop.last}}{% continue %}{% endfor %}": "1false3true",
  };
  assertRendered(loops);
  const refused = {
    "{% for a in [1] %}{{a}}{% continue %}{% else %}E{% endfor %}": "in a loop with {% else %}",
    "{% for a in [1] %}{% set x %}q{% break %}{% endset %}{% endfor %}": "{% break %} outside",
    "{% break %}": "{% break %} outside",
    "{% for a in [] %}{% else %}{% continue %}{% endfor %}": "{% continue %} outside",
  };
  for (const [template, found] of Object.entries(refused)) {
    assertStringIncludes(refusal(template), `Jinja that Ditto does not know: `);
    assertStringIncludes(refusal(template), found);
  }
});

Deno.test("renderChat() forgets at the end of an iteration what was set in it", () => {
  const loops = {
    "{% for a in [1,2] %}{% if x is defined %}D{% endif %}{{ loop.index }}{% if a == 1 %}{% set x = a %}{% endif %}{% endfor %}":
      "12",
    "{% set x = 7 %}{% for a in [1,2,3] %}{{ x }}{% set x = a %}{{ x }}{{ loop.last|string|lower }},{% endfor %}{{ x }}":
      "71false,72false,73true,7",
    "{% for a in [1,2] %}{% set x, y = a, 5 %}{% for b in [1,2] %}{{ x }}{% set x = b + 8 %}{{ x }}{{ loop.index }}{% endfor %}{{ x }}{{ loop.index }};{% endfor %}":
      "191110211;291210222;",
    "{% for a in [1,2,3] %}{% if x is defined %}D{% endif %}{% set x = a %}{{ x }}{% if a == 2 %}{% break %}{% endif %};{% endfor %}!":
      "1;2!",
    "{% for a in [1,2] %}{% for b in [1,2,3] %}{% set c = a * b %}{{ c }}{% if b == 2 %}{% break %}{% endif %},{% endfor %}{% set c = 0 %};{% if a == 2 %}{% break %}{% endif %}{% endfor %}":
      "1,2;2,4;",
    "{% set ns = namespace(x=0) %}{% for a in [1,2] %}{% set y = a %}{% set ns.x = ns.x + y %}{{ ns.x }}{% else %}E{% endfor %}":
      "13",
    "{% for a in [] %}{% set y = a %}{% else %}E{% endfor %}": "E",
  };
  assertRendered(loops);
});

Deno.test("renderChat() strips what templates ask to be stripped", () => {
  const strips = {
    "{{ '\\n  x'.lstrip('\\n') }}|{{ 'x\\n '.rstrip('\\n') }}|{{ '\\nx\\n'.strip('\\n') }}":
      "  x|x\n |x",
    "{{ '[x]--'.strip(']-[') }}{{ '🙂a🙂'.strip('🙂') }}{{ 'xx'.strip('x') }}": "xa",
    "{{ '\\x85 a\\u2028'.strip() }}|{{ '\\x1f\\ufeffa\\ufeff'.strip() }}": "a|\ufeffa\ufeff",
    "{{ ' a '.strip(none) }}|{{ ' a '.strip('') }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}":
      "a| a |a | a",
    "{{ '\\ufeffa\\x1c'|trim }}|{{ 'xax'|trim('x') }}|{{ messages[0].content | trim }}":
      "\ufeffa|a|hi",
    "{{ messages[0].content.split('h')[1].strip('i').strip() ~ {'a': ' b'.strip()}.a }}": "b",
  };
  assertRendered(strips);
  for (const bad of ["nope.strip('x')", "none.strip('x')", "'a'.strip('a', 'b')", "'a'.strip(1)"]) {
    assertStringIncludes(refusal(`{{ ${bad} }}`), "strip() ");
  }
  assertStringIncludes(refusal("{{ ' a'.lstrip(chars=' ') }}"), "lstrip() takes at most one");
});

Deno.test("renderChat() tells broken templates, unknown Jinja and refusals apart", () => {
  assertStringIncludes(refusal("{% for %}"), "template is not valid Jinja, or uses Jinja that");
  assertStringIncludes(
    refusal("{% include 'x' %}"),
    "template uses Jinja that Ditto does not know: Unknown statement type: include. Give the prompt",
  );
  assertStringIncludes(
    refusal("{{ 'a'|wordcount }}"),
    'fails for these messages (["user"]), or uses Jinja that Ditto does not know: ',
  );
  assertEquals(
    refusal("{{ raise_exception('Not so.') }}"),
    `The checkpoint's chat template refuses these messages (["user"]): Not so.`,
  );
});

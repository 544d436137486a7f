from __future__ import annotations

from reelbench.reporting.document.text import literal
from reelbench.reporting.render import inline, latex
from reelbench.reporting.render.html import rich

HOSTILE = (
    "<script>alert(1)</script>",
    "![x](http://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "[click](http://evil.example)",
    "<http://evil.example>",
    "`a` **b** *c* _d_ __e__ ~f~ \\g",
    "a & b &lt; c",
    "# heading\n- item\r\n> quote",
    "\x00\x07bell",
)


def test_a_literal_is_read_back_unchanged() -> None:
    for text in HOSTILE:
        assert inline.plain(literal(text)) == " ".join(text.replace("\x00", " ").replace("\x07", " ").split())
        assert {token.type for token in inline.tokens(literal(text))} == {"text"}
    assert literal("sample_paper-2.pdf") == "sample_paper-2.pdf"


def test_emphasis_code_and_links_become_tags() -> None:
    text = r"""**bold** *thin* `x < "1"` [run](http://h/d?a=1&b=2) \* 5 < 6"""
    assert rich(text) == (
        "<strong>bold</strong> <em>thin</em> <code>x &lt; &#34;1&#34;</code> "
        '<a href="http://h/d?a=1&amp;b=2">run</a> * 5 &lt; 6'
    )
    assert inline.plain(text) == 'bold thin x < "1" run * 5 < 6'


def test_unescaped_hostile_text_adds_no_tag() -> None:
    for text in HOSTILE:
        made = rich(text)
        for tag in ("<script", "<img", 'href="javascript', "src="):
            assert tag not in made, text


def test_a_verdict_is_coloured_and_keeps_its_word() -> None:
    assert rich("**Verdict: FAIL** - why") == '<strong class="verdict fail">Verdict: FAIL</strong> - why'
    assert rich("**NO DATA** (why)") == '<strong class="verdict unsure">NO DATA</strong> (why)'
    assert rich("**PASSED**") == "<strong>PASSED</strong>"


def test_every_special_character_of_latex_is_escaped() -> None:
    assert latex.escape("\\input{/etc/passwd}") == r"\textbackslash{}input\{/etc/passwd\}"
    assert latex.escape("$a_1^2$ & 50% #1 ~x") == (r"\$a\_1\textasciicircum{}2\$ \& 50\% \#1 \textasciitilde{}x")
    assert latex.escape('<a> | "b" `c` [d] *') == (
        r"\textless{}a\textgreater{} \textbar{} \textquotedbl{}b\textquotedbl{} \textasciigrave{}c\textasciigrave{} "
        "{[}d{]} {*}"
    )
    assert latex.escape("--format a---b") == "-{}-format a-{}-{}-b"
    assert latex.escape("é ≤ 中\x07") == r"é $\leq$ \texttt{U+4E2D} "


def test_prose_is_converted_to_latex() -> None:
    assert latex.rich("**P95** of `a_b` is *5 %* ([run](http://h/d?a=1&b=50%25#c))") == (
        r"\textbf{P95} of \texttt{a\_b} is \emph{5 \%} (\href{http://h/d?a=1\&b=50\%25\#c}{run})"
    )
    assert latex.code("0123456789" * 3) == (
        r"\texttt{01234567\allowbreak{}89012345\allowbreak{}67890123\allowbreak{}456789}"
    )

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from reelbench.service.providers import llm
from reelbench.service.providers.reply import Refusal

TEXT = " ".join(f"Sentence number {number} speaks about queues and retries." for number in range(100))


def chat(text: str = TEXT, **fields: Any) -> llm.Chat:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    body: dict[str, Any] = {"model": "gpt-4o-mini", "messages": messages}
    return msgspec.convert(body | fields, llm.Chat)


def script(**fields: Any) -> llm.Script:
    completion = msgspec.json.decode(llm.answer(chat(**fields), now=5.0).body)
    return msgspec.json.decode(completion["choices"][0]["message"]["content"], type=llm.Script)


def test_a_script_has_the_requested_number_of_scenes(subtests: pytest.Subtests) -> None:
    for count in [1, 5, 20]:
        with subtests.test(count=count):
            scenes = script(metadata={"scenes": str(count)}).scenes
            assert len(scenes) == count
            assert len({scene.narration for scene in scenes}) == count
            assert {scene.visual_type for scene in scenes} == (
                set(llm.VISUAL_TYPES) if count >= 3 else {scenes[0].visual_type}
            )


def test_five_scenes_when_no_number_is_given() -> None:
    assert len(script().scenes) == 5


def test_narration_has_whole_sentences_in_document_order() -> None:
    scenes = script(metadata={"scenes": "4"}).scenes
    spoken = [scene.narration.rsplit(" Take ", 1)[0] for scene in scenes]
    places = [TEXT.index(text) for text in spoken]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[3] > len(TEXT) * 0.7
    for text in spoken:
        assert text.startswith("Sentence number")
        assert text.endswith(".")
        assert 100 < len(text) <= 220
    assert scenes[0].title == "1. Sentence number 0 speaks about queues"


def test_answers_are_a_function_of_the_request() -> None:
    assert llm.answer(chat(), now=5.0) == llm.answer(chat(), now=5.0)
    assert llm.answer(chat(), now=5.0).body != llm.answer(chat(TEXT.replace("queues", "trees")), now=5.0).body


def test_two_prompts_give_different_narrations_of_one_document() -> None:
    first, second = (
        {scene.narration for scene in script(text=f"{prompt}\n\nThe document:\n{TEXT}").scenes}
        for prompt in ("Explain queues. Reference 1.", "Explain queues. Reference 2.")
    )
    assert len(first | second) == 10


def test_usage_is_a_quarter_of_the_characters_rounded_up() -> None:
    reply = llm.answer(chat("abc"), now=5.0)
    completion = msgspec.json.decode(reply.body)
    content = completion["choices"][0]["message"]["content"]
    assert completion["usage"] == {
        "prompt_tokens": 3,  # "Be brief." + "abc" = 12 characters
        "completion_tokens": -(-len(content) // 4),
        "total_tokens": 3 + -(-len(content) // 4),
    }
    assert (reply.input_tokens, reply.output_tokens) == (3, -(-len(content) // 4))
    assert completion["created"] == 5


def test_text_parts_and_a_text_without_sentences() -> None:
    parts = msgspec.convert(
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "no stop here"}]}]}, llm.Chat
    )
    completion = msgspec.json.decode(llm.answer(parts, now=5.0).body)
    scenes = msgspec.json.decode(completion["choices"][0]["message"]["content"], type=llm.Script).scenes
    assert re.fullmatch(r"no stop here Take [0-9a-f]{12}-1\.", scenes[0].narration)
    assert len({scene.narration for scene in scenes}) == 5


def test_refusals_name_the_field(subtests: pytest.Subtests) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"metadata": {"scenes": "0"}}, "metadata.scenes"),
        ({"metadata": {"scenes": "21"}}, "metadata.scenes"),
        ({"metadata": {"scenes": " 5"}}, "metadata.scenes"),
        ({"metadata": {"scenes": "five"}}, "metadata.scenes"),
        ({"stream": True}, "stream"),
        ({"n": 2}, "n"),
        ({"text": " \n"}, "messages"),
    ]
    for fields, param in cases:
        with subtests.test(fields=fields):
            with pytest.raises(Refusal) as refused:
                llm.answer(chat(**fields), now=5.0)
            assert refused.value.param == param
            assert refused.value.status == 400

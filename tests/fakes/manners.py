"""The servers that people have, each as one record, and single manners that can be added to any of them.

Written from the table of manners in the project's reference and from public documentation, not from anyone's code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from tests.fakes.manner import Manner, Words

OPENAI: Final = Manner(
    name="openai",
    title="OpenAI Videos",
    key=True,
    wrong_key_status=401,
    model="must_match",
    lengths=("4", "8", "12"),
    seconds=4,
    size="720x1280",
    variants=True,
)
VLLM_OMNI: Final = Manner(
    name="vllm_omni",
    title="vLLM-Omni",
    unknown="detail_404",
    absent_status=405,
    bodies=frozenset({"form"}),
    model="must_match",
    references=("image/", "video/"),
    delete="conflict",
    error="integer_code",
    job_error="integer_code",
    timings=True,
    metrics=frozenset({"vllm_omni", "process"}),
)
SGLANG: Final = Manner(
    name="sglang",
    title="SGLang diffusion",
    unknown="detail_404",
    absent_status=405,
    ids="bare",
    list="no_has_more",
    delete="status",
    error="detail",
    timings=True,
    metrics=frozenset({"sglang", "process"}),
)
TENSORRT_LLM: Final = Manner(
    name="tensorrt_llm",
    title="TensorRT-LLM serve",
    unknown="detail_404",
    absent_status=405,
    create_status=202,
    words=Words(running=("generating", "postprocessing")),
    list="everything_oldest_first",
    delete="no_id",
    error="object",
    job_error="text",
    server_timing=True,
    metrics=frozenset({"tensorrt_llm", "process"}),
)
LITELLM: Final = Manner(
    name="litellm",
    title="LiteLLM proxy",
    key=True,
    wrong_key_status=400,
    model="required",
    wrong_model_status=400,
    absent_status=405,
    ids="litellm",
    list="needs_provider",
    delete="absent",
    error="text_status",
    unknown="detail_404",
    unknown_id_status=500,
    retry_after_header="llm_provider-retry-after",
    metrics=frozenset({"litellm", "process"}),
)
"""As the proxy of version 1.108.7 answered without a database: a wrong key is 400, with a database 401."""
FASTVIDEO: Final = Manner(name="fastvideo", title="FastVideo", ids="bare", unknown="detail_404", absent_status=405)
OPENROUTER: Final = Manner(
    name="openrouter",
    title="OpenRouter style",
    prefix="/api/v1",
    bodies=frozenset({"json"}),
    key=True,
    model="required",
    wrong_model_status=400,
    length_field="duration",
    create_status=202,
    words=Words(queued="pending"),
    ids="job",
    object=None,
    dates="absent",
    progress="absent",
    polling_url=True,
    list="absent",
    delete="absent",
    error="integer_code",
    job_error="text",
    content="unsigned_urls",
    polls_per_second=5,
)
NEW_API: Final = Manner(
    name="new_api",
    title="new-api and kin",
    key=True,
    model="required",
    wrong_model_status=400,
    words=Words(
        queued="NOT_START",
        running=("SUBMITTED", "QUEUED", "IN_PROGRESS"),
        completed="SUCCESS",
        failed="FAILURE",
    ),
    ids="task",
    progress="percent",
    list="absent",
    delete="absent",
    error="code_message_data",
    job_error="fail_reason",
)
DYNAMO: Final = Manner(
    name="dynamo",
    title="NVIDIA Dynamo",
    bodies=frozenset({"json"}),
    model="required",
    integer_seconds=True,
    synchronous=True,
    absent_status=405,
    list="absent",
    delete="absent",
    error="flat",
    job_error="text",
    content="url",
    timings=True,
    metrics=frozenset({"dynamo", "process"}),
)

SERVERS: Final = {
    manner.name: manner
    for manner in (
        OPENAI,
        VLLM_OMNI,
        SGLANG,
        TENSORRT_LLM,
        LITELLM,
        FASTVIDEO,
        OPENROUTER,
        NEW_API,
        DYNAMO,
    )
}

SWITCHES: Final[dict[str, dict[str, Any]]] = {
    "content-redirect": {"content": "redirect", "files_elsewhere": True},
    "content-202": {"late_content": 2},
    "content-404-first": {"early_404_content": 2},
    "retrieve-404-first": {"early_404_retrieve": 2},
    "octet-stream": {"content_type": "application/octet-stream"},
    "binary-octet-stream": {"content_type": "binary/octet-stream"},
    "content-base64": {"content": "base64"},
    "content-url": {"content": "url"},
    "content-url-elsewhere": {"content": "url", "files_elsewhere": True},
    "content-unsigned-urls": {"content": "unsigned_urls"},
    "content-unsigned-urls-elsewhere": {"content": "unsigned_urls", "files_elsewhere": True},
    "unknown-html": {"unknown": "html_200"},
    "unknown-403": {"unknown": "forbidden_403"},
    "unknown-detail": {"unknown": "detail_404"},
    "dates-text": {"dates": "text"},
    "dates-absent": {"dates": "absent"},
    "object-absent": {"object": None},
    "poll-429": {"poll_429": 3},
    "create-429": {"create_429_every": 3},
    "429-without-retry-after": {"retry_after": ""},
    "create-blocks": {"blocking": True},
    "create-201": {"create_status": 201},
    "create-202": {"create_status": 202},
    "key": {"key": True},
    "model-required": {"model": "required"},
    "model-must-match": {"model": "must_match"},
    "below-a-path": {"prefix": "/team/video/v1"},
    "moved-308": {"moved": True},
    "list-no-has-more": {"list": "no_has_more"},
    "list-oldest-first": {"list": "oldest_first"},
    "list-everything": {"list": "everything_oldest_first"},
    "list-absent": {"list": "absent"},
    "list-500": {"list": "broken"},
    "list-needs-provider": {"list": "needs_provider"},
    "delete-409": {"delete": "conflict"},
    "delete-409-always": {"delete": "refused"},
    "delete-204": {"delete": "no_body"},
    "delete-status": {"delete": "status"},
    "delete-no-id": {"delete": "no_id"},
    "delete-absent": {"delete": "absent"},
    "error-integer-code": {"error": "integer_code", "job_error": "integer_code"},
    "error-text": {"error": "text", "job_error": "text"},
    "error-detail": {"error": "detail"},
    "error-object": {"error": "object"},
    "words-tensorrt": {"words": Words(running=("generating", "postprocessing"))},
    "words-new-api": {"words": NEW_API.words},
    "ends-succeeded": {"words": Words(completed="succeeded")},
    "fails-cancelled": {"words": Words(failed="cancelled")},
    "fails-expired": {"words": Words(failed="expired")},
    "fails-deleted": {"words": Words(failed="deleted")},
    "fails-error": {"words": Words(failed="error")},
    "timings": {"timings": True},
    "server-timing": {"server_timing": True},
}
"""Single manners seen to break a client: name of the switch and the fields that it sets."""


def manner(server: str, switches: Iterable[str] = (), **changes: object) -> Manner:
    """Return the manner of a server with switches and single fields changed."""
    made = SERVERS[server]
    for switch in switches:
        made = msgspec.structs.replace(made, **SWITCHES[switch])
    return msgspec.structs.replace(made, **changes)

from __future__ import annotations

import msgspec

from reelbench.loadgen.document import Document
from reelbench.loadgen.plan.plan import plan_case
from reelbench.loadgen.record.jobs import JobRecord, Outcome
from tests.loadgen.fake_target import FakeTarget, serving
from tests.loadgen.harness import Bench, bench, scenario

CAT = Document(name="cat.png", media_type="image/png", data=b"\x89PNG cat")
SPEC = scenario(encoding="multipart")


async def run(b: Bench, **changes: object) -> JobRecord:
    planned = msgspec.structs.replace(plan_case(SPEC, SPEC.cases[0], "quick", 1)[0], **changes)
    return await b.jobs.run(planned, SPEC, b.clock.now())


async def test_without_a_document_the_form_has_fields_and_no_file() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url, document=None) as b:
        job = await run(b)
    assert (job.outcome, job.reference) == (Outcome.COMPLETED, None)
    assert sorted(fake.uploads[0]) == ["prompt", "seconds", "size"]
    assert fake.uploads[0]["prompt"].endswith(" Run run-1.")


async def test_a_job_uploads_the_reference_that_its_plan_names() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url, references={"cats/cat.png": CAT}) as b:
        job = await run(b, reference="cats/cat.png")
    assert (job.outcome, job.reference) == (Outcome.COMPLETED, "cats/cat.png")
    assert fake.uploads[0]["file"] == ("cat.png", "image/png", b"\x89PNG cat")


async def test_a_verbatim_prompt_is_sent_as_it_stands() -> None:
    async with serving(FakeTarget()) as fake, bench(fake.url) as b:
        await run(b, prompt="A red kite, 8 mm film", verbatim=True)
    assert fake.uploads[0]["prompt"] == "A red kite, 8 mm film"

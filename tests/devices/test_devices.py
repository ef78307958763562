"""A model on a device that a test or the command line names. torch takes `cpu:0` for a second device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from pytest_hfmodels import ModelCache

from ..project import GENERATING

if TYPE_CHECKING:
    from pathlib import Path

    from ..project import Project

ON = 'hf_model("./model", device={})'
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


def generating(*devices: str) -> str:
    return GENERATING.replace('hf_model("./model")', ON.format([*devices]))


def test_one_file_serves_all_devices_and_the_first_writes_it(project: Project) -> None:
    project.write(generating("cpu", "cpu:0"))
    project.run("-p", "cacheprovider", "--snapshot-update").assert_outcomes(passed=2)
    assert [*project.snapshots] == ["test_it/test_reply.toml"]
    assert project.recorded()["provenance"]["recorded_with"]["device"] == "cpu"

    result = project.run("-p", "cacheprovider", "-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_reply[[]torch@cpu] PASSED*", "*test_reply[[]torch@cpu:0] PASSED*"])

    project.change_model()
    project.run("-p", "cacheprovider").assert_outcomes(failed=2)
    second = project.run("--snapshot-update", "-k", "cpu:0")
    second.assert_outcomes(failed=1, deselected=1)
    second.stdout.fnmatch_lines(["*not updated: the test on cpu writes this file, and every device must match it"])
    (pending,) = (project.path / ".pytest_cache/d/hfmodels-pending").glob("*.json")
    assert '"test_it.py::test_reply[torch@cpu]"' in pending.read_text()


def test_the_command_line_names_devices_for_tests_that_name_none(project: Project) -> None:
    project.write(GENERATING)
    project.run("--snapshot-update").assert_outcomes(passed=1)

    project.run("--hfmodels-device", "cpu,cpu:0").assert_outcomes(passed=2)
    for name in ("Tesla T4", "meta"):
        refused = project.run("--hfmodels-device", name)
        assert refused.ret == pytest.ExitCode.USAGE_ERROR
        refused.stderr.fnmatch_lines(["*--hfmodels-device names no device*"])


@NO_CUDA
def test_a_missing_device_fails_alone_and_is_skipped_among_several(project: Project) -> None:
    project.write(GENERATING)
    project.run("--snapshot-update").assert_outcomes(passed=1)

    alone = project.run("--hfmodels-device", "cuda")
    alone.assert_outcomes(errors=1)
    alone.stdout.fnmatch_lines(["*cannot be moved to the device cuda*"])
    project.run("--hfmodels-device", "cpu,cuda").assert_outcomes(passed=1, skipped=1)

    project.snapshot().unlink()
    second = project.run("--hfmodels-device", "cuda,cpu", "--snapshot-update")
    second.assert_outcomes(failed=1, skipped=1)
    second.stdout.fnmatch_lines(["*cuda must record this file first: run the test on cuda*test_reply[[]torch@cuda]*"])


def test_matrices_are_multiplied_in_full_precision_whatever_the_project_allows(tmp_path: Path) -> None:
    model, seen = ModelCache(tmp_path).load("tiny-gpt2"), []
    model.model.register_forward_hook(lambda *_: seen.append(torch.get_float32_matmul_precision()))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        model.forward([[1, 2]])
        assert (seen, torch.get_float32_matmul_precision()) == (["highest"], "medium")
    finally:
        torch.set_float32_matmul_precision(before)


@CUDA
def test_snapshots_of_the_cpu_hold_on_cuda(project: Project) -> None:
    project.write(generating("cpu", "cuda"))

    project.run("--snapshot-update").assert_outcomes(passed=2)
    project.run().assert_outcomes(passed=2)
